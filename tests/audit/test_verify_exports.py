"""`icapd audit verify --export`: whole trails and those of a time, and files that were changed."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from audit_records import FINDING, NOON, make_record
from support.trail import Trail
from tampering import (
    AT,
    LAST,
    ROW,
    SHADOW_ROW,
    Tampered,
    double,
    rewrite_from_the_middle,
    shadow_record,
    swap,
)
from verifying import exported, run

from icapd.audit import export as exports
from icapd.audit import instants, tables
from icapd.audit.canonical import SUBJECT
from icapd.audit.database import Database
from icapd.audit.evidence.faults import Kind
from icapd.audit.evidence.verify import Scope
from icapd.audit.search import Filters

NUMBERED = {table.name for table in tables.NUMBERED}


@pytest.mark.parametrize("format_", ["jsonl", "parquet"])
def test_an_export_verifies_like_the_database(ended: Tampered, tmp_path: Path, format_: str) -> None:
    file = tmp_path / "export"
    exported(ended.trail, file, format_)
    code, output = run(ended.trail, "verify", "--export", str(file), "--format", "json", "--strict")
    # That the export was made is on record, by a writer of its own.
    assert (code, json.loads(output)["rows"] >= LAST) == (0, True)
    swap(ended)
    exported(ended.trail, file, format_)
    code, output = run(ended.trail, "verify", "--export", str(file), "--format", "json")
    assert (code, json.loads(output)["faults"][0]["writer_seq"]) == (Kind.ALTERED, ROW)


def test_an_export_of_a_time_verifies_for_that_time(in_sqlite: Tampered, tmp_path: Path) -> None:
    file = tmp_path / "export"
    since, until = instants.iso(AT), instants.iso(AT + 100)
    exported(in_sqlite.trail, file, "jsonl", "--since", since, "--until", until)
    code, output = run(in_sqlite.trail, "verify", "--export", str(file), "--format", "json")
    report = json.loads(output)
    # With the two before, and those behind up to what is signed.
    rows = in_sqlite.report(scope=Scope(AT, AT + 100)).rows
    assert (code, report["rows"], report["since"], report["until"]) == (0, rows, since, until)
    narrow = ("--since", since, "--until", instants.iso(AT + 10))
    code, output = run(in_sqlite.trail, "verify", "--export", str(file), *narrow)
    assert (code, f"verified from {since} to {instants.iso(AT + 10)}" in output) == (0, True)
    for wide in (("--since", "2026-01-01"), ("--until", instants.iso(AT + 101))):
        code, output = run(in_sqlite.trail, "verify", "--export", str(file), *wide)
        assert (code, f"covers only the time from {since} to {until}" in output) == (7, True)


#: Of another time than their numbers, as of messages that flow for hours.
FLOWS = (0, 5, 1, 9, 2, 3, 7, 4, 0, 8, 6, 9)


@pytest.fixture(scope="module")
def flowing(kept_url: str, tmp_path_factory: pytest.TempPathFactory) -> Trail:
    """A trail of two writers whose rows are in no order of time, on each database."""
    trail = Trail.make(tmp_path_factory.mktemp("trail"), kept_url)
    with trail.writer() as one, trail.writer() as other:
        for writer, times in ((one, FLOWS), (other, FLOWS[::-1])):
            for time in times:
                writer.write(make_record(occurred_at=NOON + time, findings=(FINDING, FINDING)))
            writer.write_shadow([replace(shadow_record(), occurred_at=NOON + times[3])])
    trail.ship()
    return trail


@pytest.mark.parametrize("format_", ["jsonl", "parquet"])
@pytest.mark.parametrize(("since", "until"), [(2, 5), (5, None), (None, 5), (9, 10), (0, 1), (None, 1)])
def test_an_export_of_a_time_has_the_rows_between(
    flowing: Trail, tmp_path: Path, format_: exports.Format, since: int | None, until: int | None
) -> None:
    file = tmp_path / "export"
    since, until = (None if time is None else NOON + time for time in (since, until))
    with file.open("wb") as output:
        *_, rows = exports.export(flowing.url, Filters(since=since, until=until), format_, output)
    code, output = run(flowing, "verify", "--export", str(file), "--format", "json")
    report = json.loads(output)
    assert (code, report["faults"], report["writers"]) == (0, [], 2)
    assert report["rows"] == flowing.verify(scope=Scope(since, until)).rows
    if format_ == "jsonl":
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        assert len(lines) == rows + 2
        numbered = [line for line in lines if "writer_seq" in line and line["table"] in NUMBERED]
        outside = [line for line in lines if line["table"].endswith("_outside")]
        assert report["rows"] == len(numbered) + len(outside)
        # Nobody asked for whom they are of.
        of_others = {line.get(name) for line in outside for name in (*SUBJECT, "subject_salt")}
        assert of_others == {None}
        start, end = (instants.iso(time) for time in (since or 0, until or instants.LATEST))
        assert all(start <= line["occurred_at"] < end for line in numbered)
        assert not any(start <= line["occurred_at"] < end for line in outside)


@pytest.fixture
def of_a_time(flowing: Trail, tmp_path: Path) -> tuple[Path, list[dict[str, Any]]]:
    """A file for an export of a part of the trail, and its lines, to be changed."""
    file = tmp_path / "export"
    with file.open("wb") as output:
        *_, _ = exports.export(flowing.url, Filters(since=NOON + 2, until=NOON + 5), "jsonl", output)
    return file, [json.loads(line) for line in file.read_text().splitlines()]


def verified(trail: Trail, file: Path, lines: list[dict[str, Any]]) -> tuple[int, str]:
    """The code, and what is told of the first fault, or on standard error."""
    lines[-1]["rows"] = len(lines) - 2
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    code, output = run(trail, "verify", "--export", str(file), "--format", "json")
    report = json.loads(output) if output.startswith("{") else None
    return code, report["faults"][0]["problem"] if report and report["faults"] else output


def test_rows_that_are_cut_off_an_export_of_a_time_are_told(
    flowing: Trail, of_a_time: tuple[Path, list[dict[str, Any]]]
) -> None:
    file, lines = of_a_time
    numbered = [line for line in lines if line["table"].removesuffix("_outside") in NUMBERED]
    for writer_id in {line["writer_id"] for line in numbered}:
        own = sorted({line["writer_seq"] for line in numbered if line["writer_id"] == writer_id})
        for gone in (own[:3], own[1:2], own[5:], own[-1:]):
            left = [
                dict(line)
                for line in lines
                if not (line.get("writer_id") == writer_id and line.get("writer_seq") in gone)
                or line["table"] == "audit_checkpoint"
            ]
            # Nobody signs how far it was shipped.
            for line in left:
                if line["table"] == "audit_shipment" and line["writer_id"] == writer_id:
                    line["shipped_seq"] = max(set(own) - set(gone))
            code, told = verified(flowing, file, left)
            assert (code, "not there" in told) == (Kind.MISSING, True), (own, gone)


def test_an_export_of_a_time_that_was_written_anew_is_told(in_sqlite: Tampered, tmp_path: Path) -> None:
    rewrite_from_the_middle(in_sqlite)
    file = tmp_path / "export"
    exported(in_sqlite.trail, file, "jsonl", "--until", instants.iso(AT + 9))
    code, output = run(in_sqlite.trail, "verify", "--export", str(file), "--format", "json")
    # Where its checkpoint comes.
    assert (code, json.loads(output)["faults"][0]["writer_seq"]) == (Kind.ALTERED, LAST)
    # Without that it is not signed.
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    left = [line for line in lines if line["table"] != "audit_checkpoint"]
    verified(in_sqlite.trail, file, left)
    report = json.loads(run(in_sqlite.trail, "verify", "--export", str(file), "--format", "json")[1])
    assert report["unsigned"] == LAST


def test_an_export_that_is_cut_off_is_not_judged(
    flowing: Trail, of_a_time: tuple[Path, list[dict[str, Any]]]
) -> None:
    file, _ = of_a_time
    whole = file.read_bytes()
    lines = whole.splitlines(keepends=True)
    # With no end; and without all rows of a writer, which nothing else speaks for.
    writer_id = json.loads(lines[1])["writer_id"]
    of_other = [line for line in lines if f'"writer_id": {writer_id},'.encode() not in line]
    assert len(of_other) < len(lines)
    for data in (b"".join(lines[:-1]), b"".join(of_other)):
        file.write_bytes(data)
        code, output = run(flowing, "verify", "--export", str(file))
        assert (code, "its last line does not say so" in output) == (7, True)
    file.write_bytes(whole[:-10])
    assert run(flowing, "verify", "--export", str(file))[0] == 7


def test_a_row_is_not_taken_for_one_of_another_time(
    flowing: Trail, of_a_time: tuple[Path, list[dict[str, Any]]]
) -> None:
    file, lines = of_a_time
    hidden = next(line for line in lines if line["table"] == "audit_event")
    hidden["table"] = "audit_event_outside"
    misplaced = "is not of the time that the name of its table says"
    assert verified(flowing, file, lines) == (Kind.ALTERED, misplaced)
    hidden["table"] = "audit_event"
    counted = next(line for line in lines if line["table"] == "audit_event_outside")
    counted["table"] = "audit_event"
    assert verified(flowing, file, lines) == (Kind.ALTERED, misplaced)
    lines[1]["table"] += "_outside"
    code, told = verified(flowing, file, lines)
    assert (code, "line 2: is no row of an export" in told) == (7, True)


def test_an_export_of_a_newer_icapd_is_not_judged(
    flowing: Trail, of_a_time: tuple[Path, list[dict[str, Any]]]
) -> None:
    file, lines = of_a_time
    lines[0]["schema"] = "9999"
    code, told = verified(flowing, file, lines)
    assert (code, "is of the schema 9999, ahead of this icapd's" in told) == (7, True)


def test_a_number_that_is_there_twice_is_twice_in_an_export(in_sqlite: Tampered, tmp_path: Path) -> None:
    double(in_sqlite)
    file = tmp_path / "export"
    exported(in_sqlite.trail, file, "jsonl")
    code, output = run(in_sqlite.trail, "verify", "--export", str(file), "--format", "json")
    assert (code, json.loads(output)["faults"][0]["writer_seq"]) == (Kind.DUPLICATED, ROW)


def test_a_row_of_another_time_that_is_changed_is_told(
    flowing: Trail, of_a_time: tuple[Path, list[dict[str, Any]]]
) -> None:
    file, lines = of_a_time
    changed = max(
        (line for line in lines if line["table"] == "audit_event_outside"),
        key=lambda line: line["writer_seq"],
    )
    changed["risk_score"] = 99
    assert verified(flowing, file, lines) == (Kind.ALTERED, "is not what its chain says")


@pytest.mark.parametrize("format_", ["jsonl", "parquet"])
def test_an_export_of_less_than_a_whole_trail_is_not_judged(
    in_sqlite: Tampered, tmp_path: Path, format_: str
) -> None:
    file = tmp_path / "export"
    exported(in_sqlite.trail, file, format_, "--host", "api.example.com")
    code, output = run(in_sqlite.trail, "verify", "--export", str(file))
    assert (code, "nothing at its beginning says that it is the whole trail of a time" in output) == (7, True)


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        pytest.param('"host": "api', '"host": "bpi', Kind.ALTERED, id="text"),
        pytest.param('"port": 443', '"port": [443]', Kind.ALTERED, id="a list"),
        pytest.param('"port": 443', f'"port": {10**30}', Kind.ALTERED, id="a large number"),
        pytest.param('"chain": "', '"chain": "no', Kind.ALTERED, id="no bytes"),
        pytest.param("T10:00:00", "T1?:00:00", Kind.ALTERED, id="no time"),
        pytest.param('"occurred_at": "2026-05-17T', '"occurred_at": "20260517T', Kind.ALTERED, id="spelling"),
        pytest.param('"severity": "critical"', '"severity": "low"', Kind.ALTERED, id="a finding"),
        pytest.param('"table": "audit_event"', '"table": "elsewhere"', 7, id="no table"),
        pytest.param('"findings": [', '"findings": ["x", ', 7, id="no findings"),
        pytest.param("{", "", 7, id="no JSON"),
    ],
)
def test_a_changed_line_of_an_export_is_told(
    in_sqlite: Tampered, tmp_path: Path, old: str, new: str, kind: int
) -> None:
    file = tmp_path / "export"
    exported(in_sqlite.trail, file, "jsonl")
    lines = file.read_text().splitlines()
    place = next(number for number, line in enumerate(lines) if f'"writer_seq": {ROW},' in line)
    assert old in lines[place]
    file.write_text(
        "\n".join([*lines[:place], lines[place].replace(old, new, 1), *lines[place + 1 :]]) + "\n"
    )
    code, output = run(in_sqlite.trail, "verify", "--export", str(file))
    assert code == kind, output
    assert str(ROW if kind == Kind.ALTERED else f"line {place + 1}: ") in output


def test_a_line_of_an_export_doubled_or_taken_out_is_told(in_sqlite: Tampered, tmp_path: Path) -> None:
    file = tmp_path / "export"
    exported(in_sqlite.trail, file, "jsonl")
    lines = file.read_text().splitlines()
    shadow = next(line for line in lines if f'"writer_seq": {SHADOW_ROW},' in line)
    file.write_text("\n".join([*lines, shadow]) + "\n")
    code, output = run(in_sqlite.trail, "verify", "--export", str(file))
    assert (code, f"row {SHADOW_ROW}" in output) == (Kind.DUPLICATED, True)
    file.write_text("\n".join(line for line in lines if line != shadow) + "\n")
    code, output = run(in_sqlite.trail, "verify", "--export", str(file))
    assert (code, f"row {SHADOW_ROW}: not there" in output) == (Kind.MISSING, True)


def test_an_export_has_to_be_a_file(in_sqlite: Tampered, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    code, output = run(in_sqlite.trail, "verify", "--export", str(tmp_path / "pipe"))
    assert (code, "is no regular file; write it to one" in output) == (7, True)


def test_a_dead_letter_of_another_time_tells_of_nobody(tmp_path: Path) -> None:
    trail = Trail.make(tmp_path)
    with trail.writer() as writer:
        for time in (9, 0, 9):
            writer.write(make_record(occurred_at=NOON + time))
    refuse = "CREATE TRIGGER refuse BEFORE INSERT ON audit_event WHEN NEW.writer_seq = 2"
    with Database.parse(trail.url).write() as connection:
        connection.exec_driver_sql(f"{refuse} BEGIN SELECT RAISE(ABORT, 'no'); END")
    trail.ship()
    file = tmp_path / "export"
    exported(trail, file, "jsonl", "--until", instants.iso(NOON + 1))
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    (letter,) = (line for line in lines if line["table"] == "audit_dead_letter_outside")
    assert letter["salt"] is None
    assert {json.loads(letter["body"])[name] for name in SUBJECT} == {None}
    assert run(trail, "verify", "--export", str(file))[0] == 0
