"""How fast `icapd audit verify` is, and in how much memory: over rows that were written and shipped first.

    python -m bench.verification [--rows N] [--database-url URL]

The database is a new SQLite file unless an empty one of PostgreSQL is named; what is put there stays.
"""

import argparse
import resource
import tempfile
import time
from contextlib import closing
from pathlib import Path

from icapd.audit import AuditRecord, AuditWriter, FindingRecord, migrations, notary_for, uuid7
from icapd.audit.database import Database
from icapd.audit.evidence.notes import load_signer
from icapd.audit.evidence.verify import verify
from icapd.audit.shipping.destination import Destination
from icapd.audit.shipping.shipper import Shipper
from icapd.settings import Audit

#: Records in one commit, and of how many one has a finding.
_COMMIT, _WITH_FINDING = 500, 20
#: What a KiB of ru_maxrss is.
_MIB = 1024


def main() -> None:
    """Write, ship, verify; a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--database-url", default="")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="icapd-verification-") as directory:
        audit = Audit(
            database_url=options.database_url or f"sqlite:///{directory}/icapd.db",
            outbox=f"{directory}/outbox",
            signing_key=f"{directory}/signing.key",
        )
        migrations.upgrade(audit.database_url)
        Path(audit.outbox).mkdir()
        began = time.perf_counter()
        _write(audit, options.rows)
        print(f"wrote {options.rows / (time.perf_counter() - began):,.0f} rows/s")
        began = time.perf_counter()
        _ship(audit)
        print(f"shipped {options.rows / (time.perf_counter() - began):,.0f} rows/s")
        _verify(audit)


def _write(audit: Audit, rows: int) -> None:
    with AuditWriter.open(Path(audit.outbox), max_size=2**40, mode="relaxed") as writer:
        for first in range(0, rows, _COMMIT):
            writer.write_all(("final", _record(number)) for number in range(first, first + _COMMIT))


def _ship(audit: Audit) -> None:
    destination = Destination(Database.parse(audit.database_url))
    with closing(Shipper(Path(audit.outbox), destination, notary_for(audit))) as shipper:
        while shipper.round() or shipper.backlog().entries:
            pass
        # The last checkpoint, and the files go.
        shipper.round()


def _verify(audit: Audit) -> None:
    verifier = load_signer(Path(audit.signing_key)).verifier
    before, began, began_cpu = _most_memory(), time.perf_counter(), time.process_time()
    report = verify(audit.database_url, {verifier.id: verifier})
    seconds, cpu = time.perf_counter() - began, time.process_time() - began_cpu
    print(
        f"verified {report.rows:,} rows, {report.checkpoints:,} checkpoints:"
        f" {report.rows / seconds:,.0f} rows/s, {cpu / report.rows * 1e6:.1f} us CPU each,"
        f" {len(report.faults)} faults, {_most_memory() - before:.0f} MiB more than before"
    )


def _most_memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _MIB


def _record(number: int) -> AuditRecord:
    finding = FindingRecord("credentials.demo-key", "critical", "redact", "body", "de**********", "ab" * 16)
    return AuditRecord(
        event_id=uuid7(),
        txn_id=f"node-{number}",
        occurred_at=time.time_ns() // 1000,
        method_icap="REQMOD" if number % 2 else "RESPMOD",
        http_method="POST",
        scheme="https",
        host="api.example.com",
        port=443,
        path="/v1/items",
        client_ip="192.0.2.7",
        client_user="alice",
        verdict="allowed",
        disposition="unmodified",
        inspection="complete",
        request_bytes=number,
        content_type="application/json",
        policy_digest="0" * 64,
        latency_us=150,
        findings=() if number % _WITH_FINDING else (finding,),
    )


if __name__ == "__main__":
    main()
