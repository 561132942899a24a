"""Archives: what goes is in a file before, and file and database together are the whole trail."""

from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from audit_records import NOON
from retaining import AFTER_ALL, AFTER_RECORDS, DAY, Kept, records
from sqlalchemy import delete, update
from support.trail import Trail
from tampering import Tampered

from icapd.audit import partitions
from icapd.audit.evidence.faults import Kind
from icapd.audit.evidence.verify import Scope
from icapd.audit.retention import archive, batches
from icapd.audit.retention import purge as purging
from icapd.audit.retention.classes import Cutoffs
from icapd.audit.retention.purge import Outcome
from icapd.audit.tables import audit_archive, audit_event
from icapd.errors import AuditError

pytest.importorskip("pyarrow")


@pytest.fixture
def kept(empty_url: str, tmp_path: Path) -> Kept:
    return Kept(Trail.make(tmp_path, empty_url))


@pytest.fixture
def in_sqlite(tmp_path: Path) -> Kept:
    kept = Kept(Trail.make(tmp_path))
    kept.write(100)
    return kept


@pytest.fixture
def place(tmp_path: Path) -> Path:
    directory = tmp_path / "archive"
    directory.mkdir()
    return directory


def files(place: Path) -> list[Path]:
    return sorted(place.iterdir())


def test_files_and_database_are_the_whole_trail(kept: Kept, place: Path) -> None:
    kept.write(100)
    kept.write(20, client_user="Zo\N{LATIN SMALL LETTER E WITH DIAERESIS}")
    kept.purge(allowed=NOON + 50_000, archive=place)
    kept.purge(allowed=AFTER_RECORDS, found=AFTER_RECORDS, archive=place)
    assert kept.count() == 0
    report = kept.trail.verify(archives=files(place))
    assert (report.faults, report.rows, report.purged, report.archives) == ([], 124, 0, 4)
    assert report.exit_code(strict=True) == 0
    # Of what is not given, it is known that it was purged.
    one = kept.trail.verify(archives=files(place)[:1])
    assert (one.faults, one.rows + one.purged) == ([], 124)
    assert one.purged > 0


def test_a_time_that_only_archives_hold_is_judged_with_them(in_sqlite: Kept, place: Path) -> None:
    in_sqlite.purge(allowed=NOON + 30_000, archive=place)
    in_sqlite.purge(allowed=AFTER_RECORDS, found=AFTER_RECORDS, archive=place)
    assert in_sqlite.count() == 0
    scope = Scope(NOON + 12_000, NOON + 18_000)
    report = in_sqlite.trail.verify(archives=files(place), scope=scope)
    assert (report.faults, report.rows >= 9, report.purged) == ([], True, 0)
    # With one of them there is no false alarm where the other is missing.
    for file in files(place):
        for since in range(NOON, NOON + 100_000, 7000):
            report = in_sqlite.trail.verify(archives=[file], scope=Scope(since, since + 9000))
            assert report.faults == [], (file, since)


def test_a_writer_that_went_whole_is_whole_in_its_archives(kept: Kept, place: Path) -> None:
    kept.write(30)
    kept.purge(allowed=AFTER_ALL, found=AFTER_ALL, admin=AFTER_ALL, archive=place)
    assert [kept.count(f"audit_{name}") for name in ("event", "admin", "checkpoint", "writer")] == [0] * 4
    report = kept.trail.verify(archives=files(place))
    assert (report.faults, report.rows, report.purged) == ([], 32, 0)


def test_what_is_archived_twice_counts_once(
    in_sqlite: Kept, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after runs that were killed behind their archives."""
    monkeypatch.setattr(batches, "ROWS", 10)
    for run in range(2):
        steps = purging.purge(
            in_sqlite.database, in_sqlite.keys, Cutoffs(AFTER_RECORDS, AFTER_RECORDS), Outcome(), place
        )
        while in_sqlite.count("audit_archive") == run:
            next(steps)
        steps.close()
    in_sqlite.purge(allowed=AFTER_RECORDS, found=AFTER_RECORDS, archive=place)
    assert len(files(place)) == 3
    report = in_sqlite.trail.verify(archives=files(place))
    assert (report.faults, report.rows, report.purged) == ([], 102, 0)


def test_killed_while_the_file_is_written_nothing_is_left_and_nothing_went(
    in_sqlite: Kept, place: Path
) -> None:
    steps = purging.purge(in_sqlite.database, in_sqlite.keys, Cutoffs(AFTER_RECORDS), Outcome(), place)
    list(islice(steps, 1))
    steps.close()
    assert (files(place), in_sqlite.count(), in_sqlite.count("audit_archive")) == ([], 100, 0)


def test_only_what_is_in_the_file_goes(tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that comes once the file is written stays for the next time."""
    kept = Kept(Trail.make(tmp_path))
    state = archive._state
    with kept.trail.writer() as writer:

        def write_late(*arguments: Any) -> None:
            state(*arguments)
            writer.write_all(("final", record) for record in records(3))
            kept.trail.ship()

        writer.write_all(("final", record) for record in records(10))
        kept.trail.ship()
        monkeypatch.setattr(archive, "_state", write_late)
        outcome = kept.purge(allowed=AFTER_RECORDS, found=AFTER_RECORDS, archive=place)
        monkeypatch.undo()
        assert (outcome.rows, kept.count()) == (10, 3)
    kept.trail.ship()
    report = kept.trail.verify(archives=files(place))
    assert (report.faults, report.purged) == ([], 0)


def test_a_row_that_no_purge_took_is_missing_though_an_archive_has_it(
    in_sqlite: Kept, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a run that was killed behind its archive: whoever takes such a row out is no purge."""
    monkeypatch.setattr(batches, "ROWS", 10)
    steps = purging.purge(in_sqlite.database, in_sqlite.keys, Cutoffs(AFTER_RECORDS), Outcome(), place)
    while not in_sqlite.count("audit_archive"):
        next(steps)
    steps.close()
    in_sqlite.purge(allowed=NOON + 20_000)
    Tampered(in_sqlite.trail, 0).run(delete(audit_event).where(audit_event.c.writer_seq.in_([9, 23, 50])))
    report = in_sqlite.trail.verify(archives=files(place))
    assert [(fault.kind, fault.writer_seq) for fault in report.faults] == [
        (Kind.MISSING, seq) for seq in (23, 50)
    ]


def test_an_altered_archive_is_told(in_sqlite: Kept, place: Path) -> None:
    in_sqlite.purge(allowed=AFTER_RECORDS, archive=place)
    (file,) = files(place)
    data = bytearray(file.read_bytes())
    # Within the text at its end that says who wrote it.
    at = data.rindex(b"parquet-cpp-arrow")
    data[at] ^= 1
    file.write_bytes(data)
    report = in_sqlite.trail.verify(archives=[file])
    assert [(fault.kind, fault.place) for fault in report.faults] == [(Kind.ALTERED, file.name)]
    assert "no statement of the trail has its SHA-256" in report.faults[0].problem


def forge_its_statement(kept: Kept) -> None:
    Tampered(kept.trail, 0).run(update(audit_archive).values(note="forged"))


def take_its_statement_out(kept: Kept) -> None:
    Tampered(kept.trail, 0).run(delete(audit_archive))


@pytest.mark.parametrize("tamper", [forge_its_statement, take_its_statement_out])
def test_a_statement_that_was_tampered_with_is_told(in_sqlite: Kept, place: Path, tamper: object) -> None:
    in_sqlite.purge(allowed=AFTER_RECORDS, archive=place)
    assert callable(tamper)
    tamper(in_sqlite)
    assert in_sqlite.trail.verify(archives=files(place)).exit_code(strict=False) == Kind.ALTERED


@pytest.mark.postgresql
def test_a_partition_is_archived_as_one_file(postgresql_url: str, tmp_path: Path, place: Path) -> None:
    kept = Kept(Trail.make(tmp_path, postgresql_url))
    partitions.make(kept.database, "month", datetime(2026, 5, 17, tzinfo=UTC))
    kept.write(20)
    kept.write(20)
    outcome = kept.purge(allowed=NOON + 20 * DAY, found=NOON + 20 * DAY, archive=place)
    assert "audit_event_p20260501" in outcome.partitions
    assert [name.partition("-2")[0] for name in outcome.archives] == ["icapd-audit-audit_event_p20260501"]
    report = kept.trail.verify(archives=files(place))
    assert (report.faults, report.rows, report.purged) == ([], 44, 0)


def test_a_directory_that_can_t_be_written_stops_it_before_anything_goes(
    in_sqlite: Kept, tmp_path: Path
) -> None:
    with pytest.raises(AuditError, match="can't be written: No such file or directory"):
        in_sqlite.purge(allowed=AFTER_RECORDS, archive=tmp_path / "nowhere")
    assert in_sqlite.count() == 100
