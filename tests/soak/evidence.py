"""What Squid's logs and the audit tables say of a run, side by side.

How Squid counts: `noteFailure()` for every exception in an ICAP transaction (a bad or missing reply, a
timeout, a connection that ends early), which its icap.log shows as ICAP_ERR_OTHER; more of them than
`icap_service_failure_limit` since the last OPTIONS, and cache.log says "suspending ICAP service". The count
itself is shown nowhere, so the soak's Squid has a limit of 0: the first failure is heard. ICAP_ERR_GONE is
not counted: there the HTTP client went, and Squid with it.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from soak.visit import Row

#: What Squid writes into cache.log when it gives up on an ICAP service.
GIVEN_UP = ("suspending ICAP service", "essential ICAP service is", "optional ICAP service is")


@dataclass(frozen=True, slots=True)
class IcapLine:
    """One line of icap.log; the fields are those of `logformat icapd_icap`."""

    outcome: str
    method: str
    service: str
    txn_id: str

    @classmethod
    def parse(cls, line: str) -> "IcapLine":
        _time, _took, result, method, service, _sent, _received, txn_id, _verdict = line.split()
        return cls(result.partition("/")[0], method, service, txn_id)


@dataclass(frozen=True, slots=True)
class AccessLine:
    """One line of access.log; the fields are those of `logformat icapd`."""

    result: str
    method: str
    txn_id: str

    @classmethod
    def parse(cls, line: str) -> "AccessLine":
        fields = line.split()
        return cls(fields[3], fields[5], fields[9])


AuditRow = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Evidence:
    """All there is to read after a run."""

    icap: list[IcapLine]
    access: list[AccessLine]
    cache_log: list[str]
    rows: list[AuditRow]

    @classmethod
    def read(cls, logs: Path, rows: list[AuditRow]) -> "Evidence":
        def lines(name: str) -> list[str]:
            return (logs / name).read_text("utf-8", "replace").splitlines()

        icap = [IcapLine.parse(line) for line in lines("icap.log")]
        access = [AccessLine.parse(line) for line in lines("access.log")]
        return cls(icap, access, lines("cache.log"), rows)

    @property
    def transactions(self) -> list[IcapLine]:
        """OPTIONS left out."""
        return [line for line in self.icap if line.method != "OPTIONS"]


def failures(evidence: Evidence) -> Iterator[str]:
    """What Squid holds against icapd."""
    for line in evidence.icap:
        if "ICAP_ERR" in line.outcome and line.outcome != "ICAP_ERR_GONE":
            yield f"Squid counted a failure: {line}"
    for text in evidence.cache_log:
        if any(word in text for word in GIVEN_UP) or "assertion failed" in text:
            yield f"cache.log: {text}"


def unjoined(evidence: Evidence) -> Iterator[str]:
    """Transactions without a row, rows without a transaction, lines of access.log without either.

    A client that goes before icapd has answered leaves Squid without the id. Such lines have a row each, but
    for those where Squid's reset overtook the request: what icapd had not read by then it will never see.
    """
    logged = Counter((line.txn_id, line.method) for line in evidence.transactions if line.txn_id != "-")
    recorded = Counter((row["txn_id"], row["method_icap"]) for row in evidence.rows)
    for key, count in (logged - recorded).items():
        yield f"{count} transactions without a row: {key}"
    for line in evidence.transactions:
        if line.txn_id == "-" and line.outcome != "ICAP_ERR_GONE":
            yield f"a transaction without an id: {line}"
    nameless = Counter(line.method for line in evidence.transactions if line.txn_id == "-")
    unlogged = recorded - logged
    if surplus := Counter(method for _, method in unlogged.elements()) - nameless:
        rows = [
            _shown(row)
            for row in evidence.rows
            if row["method_icap"] in surplus and unlogged[row["txn_id"], row["method_icap"]]
        ]
        yield f"{dict(surplus)} rows without a transaction, among these: {rows}"
    ids = {row["txn_id"] for row in evidence.rows}
    for access in evidence.access:
        if access.txn_id != "-" and access.txn_id not in ids:
            yield f"access.log has an id without a row: {access}"


def gone(evidence: Evidence) -> Counter[tuple[str, str]]:
    """Transactions whose client went, by Squid's word."""
    return Counter(
        (line.txn_id, line.method) for line in evidence.transactions if line.outcome == "ICAP_ERR_GONE"
    )


def misrecorded(evidence: Evidence, expected: Mapping[str, list[Row] | None]) -> Iterator[tuple[str, str]]:
    """Visits, by their path, whose rows are not those that were expected; and why."""
    rows: dict[str, list[AuditRow]] = defaultdict(list)
    for row in evidence.rows:
        if row["http_method"] == "CONNECT":
            if (row["verdict"], row["disposition"], row["inspection"]) != (
                "allowed",
                "unmodified",
                "complete",
            ):
                yield "CONNECT", f"a tunnel recorded as {row}"
            continue
        rows["/".join((row["path"] or "").split("/")[:4])].append(row)
    left_early = gone(evidence)
    for path in rows.keys() | expected.keys():
        wanted = expected.get(path, [])
        problem = "" if wanted is None else _compare(wanted, rows.get(path, []), left_early)
        if problem:
            yield path, problem


def _compare(expected: Iterable[Row], rows: list[AuditRow], left_early: Counter[tuple[str, str]]) -> str:
    """What is missing or too much; "" when it is all right."""
    missing, rest = [], list(rows)
    for wanted in expected:
        found = next((row for row in rest if _fits(wanted, row)), None)
        if found is None and not wanted.gone:
            missing.append(wanted)
        if found is None:
            continue
        rest.remove(found)
        if left_early[found["txn_id"], found["method_icap"]] and not wanted.gone:
            return f"Squid's client went: {_shown(found)}"
    if not missing and not rest:
        return ""
    return f"no row {missing[:3]}; instead {[_shown(row) for row in rest[:3]]}"


def _fits(wanted: Row, row: AuditRow) -> bool:
    size = row["request_bytes"] + row["response_bytes"]
    return (
        row["method_icap"] == wanted.method_icap
        and row["http_method"] == wanted.http_method
        and row["verdict"] == wanted.verdict
        and row["http_status"] == wanted.status
        and _is(wanted.disposition, row["disposition"])
        and _is(wanted.inspection, row["inspection"])
        and _is(wanted.skip_reason, row["skip_reason"])
        and (size == wanted.size if isinstance(wanted.size, int) else size in wanted.size)
    )


def _is(wanted: object, value: object) -> bool:
    return value in wanted if isinstance(wanted, tuple) else value == wanted


_SHOWN = (
    "method_icap http_method verdict disposition inspection skip_reason http_status"
    " request_bytes response_bytes"
)


def _shown(row: AuditRow) -> str:
    return " ".join(f"{name}={row[name]}" for name in (*_SHOWN.split(), "path", "occurred_at", "txn_id"))
