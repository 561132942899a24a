"""Exports: every row and column, a file that is whole or not there, constant memory."""

import io
import json
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from audit_records import FINDING, NOON, make_record
from pyarrow import parquet
from support.trail import Trail

from icapd.audit import canonical, export, instants
from icapd.audit.canonical import BEGINNING
from icapd.audit.record import AuditRecord, FindingRecord
from icapd.audit.search import Filters
from icapd.audit.shadow import ShadowRecord
from icapd.errors import AuditError

RECORDS = (
    make_record(occurred_at=NOON + 2, findings=(FINDING, FINDING), path="/\u20ac\x1b[2J\n"),
    make_record(client_user=None, repeats=9, host="www.example.net"),
    make_record(occurred_at=NOON + 1, verdict="blocked", disposition="blocked"),
)
SHADOW = ShadowRecord(
    occurred_at=NOON,
    txn_id="node-1",
    method_icap="REQMOD",
    live_effect="allowed",
    shadow_effect="blocked",
    live_rules="",
    shadow_rules="attacks.demo",
    live_digest="0" * 64,
    shadow_digest="1" * 64,
)


@pytest.fixture(scope="module")
def url(kept_url: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    trail = Trail.make(tmp_path_factory.mktemp("trail"), kept_url)
    with trail.writer() as writer:
        for record in RECORDS:
            writer.write(record)
        writer.write_shadow([SHADOW])
    trail.ship()
    return kept_url


def exported(url: str, format_: export.Format, filters: Filters | None = None) -> bytes:
    output = io.BytesIO()
    *_, count = 0, *export.export(url, filters or Filters(), format_, output)
    assert count >= 0
    return output.getvalue()


def rows_of(url: str, format_: str) -> list[dict[str, Any]]:
    """The rows of a whole export; in those of Parquet without the columns of other tables."""
    if format_ == "jsonl":
        return [json.loads(line) for line in exported(url, "jsonl").splitlines()[1:-1]]
    rows = parquet.read_table(io.BytesIO(exported(url, "parquet"))).to_pylist()
    names = {row["table"]: set(row) for row in rows_of(url, "jsonl")}
    return [{name: value for name, value in row.items() if name in names[row["table"]]} for row in rows]


@pytest.mark.parametrize("format_", ["jsonl", "parquet"])
def test_a_whole_export_has_every_row(url: str, format_: str) -> None:
    tables = Counter(row["table"] for row in rows_of(url, format_))
    assert tables == {
        "audit_writer": 1,
        "audit_shipment": 1,
        "audit_event": 3,
        "audit_admin": 2,
        "audit_shadow": 1,
        "audit_checkpoint": 1,
    }


def test_parquet_and_jsonl_hold_the_same(url: str) -> None:
    of_parquet = rows_of(url, "parquet")
    for row in of_parquet:
        for name, value in row.items():
            if hasattr(value, "tzinfo"):
                row[name] = instants.iso(instants.from_datetime(value))
    assert of_parquet == rows_of(url, "jsonl")


def test_the_chain_can_be_made_again_from_an_export(url: str) -> None:
    numbered = sorted(
        (row for row in rows_of(url, "jsonl") if "writer_seq" in row and row["table"] != "audit_checkpoint"),
        key=lambda row: row["writer_seq"],
    )
    assert [row["writer_seq"] for row in numbered] == [1, 2, 3, 4, 5, 6]
    chain = BEGINNING
    for row in numbered:
        chain = canonical.next_link(chain, form_of(row))
        assert row["chain"] == chain.hex(), row


def form_of(row: dict[str, Any]) -> bytes:
    key = (row["writer_id"], instants.parse(row["occurred_at"], now=0), row["writer_seq"])
    match row["table"]:
        case "audit_admin":
            return canonical.admin_form(key, row["action"], row["detail"])
        case "audit_shadow":
            values = {name: row[name] for name in canonical.SHADOW}
            return canonical.shadow_form(key, ShadowRecord(occurred_at=key[1], **values))
        case _:
            findings = tuple(FindingRecord(**finding) for finding in row["findings"])
            values = {name: row[name] for name in (*canonical.EVENT, *canonical.SUBJECT)}
            record = AuditRecord(**values, occurred_at=key[1], findings=findings)
            commitment = canonical.commitment_to(bytes.fromhex(row["subject_salt"]), record)
            assert row["subject_commitment"] == commitment.hex()
            return canonical.event_form(key, record, commitment)


@pytest.mark.parametrize("format_", get_args(export.Format))
def test_records_come_in_the_order_of_time_and_filters_hold(url: str, format_: export.Format) -> None:
    data = exported(url, format_, Filters(host="api.example.com"))
    if format_ == "parquet":
        times = parquet.read_table(io.BytesIO(data))["occurred_at"].to_pylist()
        assert [instants.from_datetime(time) - NOON for time in times] == [1, 2]
        return
    lines = data.decode().splitlines()
    count = {"csv": 4, "ocsf": 4, "cef": 3}.get(format_, 2)
    assert len(lines) == count
    assert b"\x1b" not in data
    blocked, redacted = (
        next(n for n, line in enumerate(lines) if word in line) for word in ("blocked", "demo-key")
    )
    assert blocked < redacted


@pytest.mark.parametrize("format_", get_args(export.Format))
def test_an_empty_export_is_well_formed(url: str, format_: export.Format) -> None:
    data = exported(url, format_, Filters(host="nobody"))
    if format_ == "parquet":
        assert parquet.read_table(io.BytesIO(data)).num_rows == 0
    else:
        assert len(data.decode().splitlines()) == (1 if format_ == "csv" else 0)


def test_a_time_alone_leaves_an_export_whole_and_a_filter_does_not(url: str) -> None:
    time = Filters(since=NOON, until=NOON + 2)
    lines = exported(url, "jsonl", time).splitlines()
    assert Counter(json.loads(line)["table"] for line in lines) == {
        # The first and the last line.
        "audit_export": 2,
        # By number, the two before the first one, and the one behind the last.
        "audit_event_outside": 1,
        "audit_admin_outside": 2,
        "audit_writer": 1,
        "audit_shipment": 1,
        "audit_event": 2,
        "audit_shadow": 1,
        "audit_checkpoint": 1,
    }
    row = {"table": "audit_export", "since": instants.iso(NOON), "until": instants.iso(NOON + 2)}
    assert json.loads(lines[0]).items() >= row.items()
    assert json.loads(lines[-1]) == {"table": "audit_export", "rows": len(lines) - 2}
    metadata = parquet.read_schema(io.BytesIO(exported(url, "parquet", time))).metadata
    assert json.loads(metadata[b"audit_export"]) == json.loads(lines[0])
    lines = exported(url, "jsonl", Filters(verdict="blocked")).splitlines()
    assert [json.loads(line)["table"] for line in lines] == ["audit_event"]


@pytest.mark.parametrize("format_", ["jsonl", "csv", "ocsf", "ecs", "cef"])
def test_an_export_takes_constant_memory(tmp_path: Path, format_: export.Format) -> None:
    trail = Trail.make(tmp_path)
    path = "/" + "x" * 2000
    trail.write(*(make_record(path=path, occurred_at=NOON + number) for number in range(3000)))
    trail.ship()
    with (tmp_path / "export").open("wb") as output:
        tracemalloc.start()
        try:
            *_, count = export.export(trail.url, Filters(host="api.example.com"), format_, output)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert count == 3000
    # The paths alone are 6 MB; a batch of 500 rows is a sixth of that.
    assert peak < 4_000_000


class Interrupted(Exception):
    """What ends an export."""


def parts(directory: Path) -> Iterator[str]:
    return (path.name for path in directory.iterdir() if "part" in path.name)


def write(path: Path, data: bytes, *, force: bool = False) -> None:
    with export.whole_file(path, force=force) as output:
        output.write(data)


def test_a_file_is_there_once_it_is_whole_and_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with export.whole_file(path, force=False) as output:
        output.write(b"whole")
        assert not path.exists()
    assert path.read_bytes() == b"whole"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(parts(tmp_path)) == []


@pytest.mark.parametrize("error", [Interrupted, KeyboardInterrupt])
def test_a_file_that_is_not_whole_is_not_there(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "out.jsonl"
    with pytest.raises(error), export.whole_file(path, force=False) as output:
        output.write(b"half")
        raise error
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_replaced_with_force_only_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(b"old")
    with pytest.raises(AuditError, match="is there already; name another, or replace it with --force"):
        write(path, b"new")
    with pytest.raises(Interrupted), export.whole_file(path, force=True) as output:
        output.write(b"half")
        raise Interrupted
    assert path.read_bytes() == b"old"
    write(path, b"new", force=True)
    assert path.read_bytes() == b"new"


def test_a_file_that_came_meanwhile_stays(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with pytest.raises(AuditError, match="is there already"), export.whole_file(path, force=False):
        path.write_bytes(b"another's")
    assert path.read_bytes() == b"another's"
    assert list(parts(tmp_path)) == []


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("none/out", "none/out: can't be written: No such file or directory"),
        ("", "is a directory; name a file"),
        ("n" * 300, "can't be written: File name too long"),
    ],
)
def test_a_place_that_takes_no_file_is_named(tmp_path: Path, path: str, problem: str) -> None:
    with pytest.raises(AuditError, match=problem):
        write(tmp_path / path, b"")


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(AuditError, match=r"out: can't be written: No space left on device"),
        export.whole_file(tmp_path / "out", force=False),
        Path("/dev/full").open("wb", buffering=0) as full,
    ):
        full.write(b"x")
    assert list(tmp_path.iterdir()) == []
