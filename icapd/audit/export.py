"""Exports: the records that match, in one of several formats, to a file that is whole or not there.

What holds all columns, JSON lines and Parquet, also holds the other tables' rows when nothing but a time is
asked for: then it is the whole trail of that time, which can be verified, and says so (`coverage`).
"""

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import IO, Any, Literal

import msgspec
from sqlalchemy import Connection

from icapd.audit import canonical, schema, stored
from icapd.audit.coverage import OUTSIDE, Coverage, end_row
from icapd.audit.database import Database
from icapd.audit.formats import cef, ecs, flat, ocsf
from icapd.audit.record import AuditRecord
from icapd.audit.search import Filters
from icapd.audit.stored import PlainRow, StoredEvent
from icapd.audit.tables import (
    NUMBERED,
    audit_admin,
    audit_archive,
    audit_checkpoint,
    audit_dead_letter,
    audit_event,
    audit_hold,
    audit_purge,
    audit_shadow,
    audit_shipment,
    audit_writer,
)
from icapd.errors import AuditError

Format = Literal["jsonl", "csv", "parquet", "ocsf", "ecs", "cef"]
#: Those of one line or more for each record, without a head.
LineFormat = Literal["jsonl", "ocsf", "ecs", "cef"]

#: How a record is written, in the formats that take records only; with the line that comes first.
_LINES: dict[str, tuple[str, Callable[[StoredEvent], Iterable[str]]]] = {
    "csv": (flat.csv_line(flat.COLUMNS) + "\r\n", flat.csv_lines),
    "ocsf": ("", ocsf.lines),
    "ecs": ("", lambda event: (ecs.line(event),)),
    "cef": ("", cef.lines),
}
#: RFC 4180 wants both; all else has the one.
_LINE_ENDS = {"csv": "\r\n"}

#: The tables that a whole trail has besides, behind its events.
_OTHERS = (
    *(audit_admin, audit_shadow, audit_dead_letter),
    *(audit_checkpoint, audit_purge, audit_archive, audit_hold),
)


def lines_in(format_: LineFormat) -> Callable[[StoredEvent], Iterable[str]]:
    """How a record is written in a format of lines."""
    if format_ == "jsonl":
        return lambda event: (flat.json_line(flat.plain_row(event)),)
    return _LINES[format_][1]


def count(database_url: str, filters: Filters) -> int:
    """How many records an export has. Raises AuditError."""
    database = Database.parse(database_url)
    with database.read(waits=True) as connection:
        schema.require_head(connection, database)
        return stored.count_events(connection, filters)


def export(database_url: str, filters: Filters, format_: Format, output: IO[bytes]) -> Iterator[int]:
    """Write what matches, oldest first, as it was at the beginning; yields how many rows are written.

    Raises AuditError; of `output` OSError.
    """
    database = Database.parse(database_url)
    coverage = _coverage(filters)
    parquet = parquet_file(output, coverage) if format_ == "parquet" else None
    with database.read(waits=True) as connection:
        schema.require_head(connection, database)
        if format_ in _LINES:
            yield from _write_lines(stored.events(connection, filters), format_, output)
            return
        if coverage is not None and parquet is None:
            output.write(flat.json_line(coverage.as_row()).encode() + b"\n")
        number = 0
        for number, row in enumerate(_rows(connection, filters, is_whole=coverage is not None), 1):
            if parquet is None:
                output.write(flat.json_line(row).encode() + b"\n")
            else:
                parquet.write(row)
            yield number
    if parquet is not None:
        parquet.close()
    elif coverage is not None:
        output.write(flat.json_line(end_row(number)).encode() + b"\n")


def _write_lines(events: Iterator[StoredEvent], format_: Format, output: IO[bytes]) -> Iterator[int]:
    first, lines_of = _LINES[format_]
    output.write(first.encode())
    end = _LINE_ENDS.get(format_, "\n")
    for number, event in enumerate(events, 1):
        output.write("".join(line + end for line in lines_of(event)).encode())
        yield number


def _coverage(filters: Filters) -> Coverage | None:
    """None of what is less than the whole trail of a time."""
    is_whole = Filters(since=filters.since, until=filters.until) == filters
    return Coverage(filters.since, filters.until) if is_whole else None


def _rows(connection: Connection, filters: Filters, *, is_whole: bool) -> Iterator[PlainRow]:
    if not is_whole:
        yield from map(flat.plain_row, stored.events(connection, filters))
        return
    for table in (audit_writer, audit_shipment):
        yield from stored.plain_rows(connection, table, filters)
    yield from map(flat.plain_row, stored.events(connection, filters))
    for table in _OTHERS:
        yield from stored.plain_rows(connection, table, filters)
    if filters != Filters():
        yield from map(_beside, map(flat.plain_row, stored.events_outside(connection, filters)))
        for table in NUMBERED:
            if table is not audit_event:
                yield from map(_beside, stored.plain_rows_outside(connection, table, filters))


def _beside(row: PlainRow) -> PlainRow:
    """A row of another time, which nobody asked for: without whom it is of, as where that was erased."""
    nobody: PlainRow = {}
    if row["table"] == audit_event.name:
        nobody = dict.fromkeys((*canonical.SUBJECT, "subject_salt"))
    elif row["table"] == audit_dead_letter.name and row["kind"] == "event":
        nobody = {"body": _without_subject(row["body"]), "salt": None}
    return row | nobody | {"table": f"{row['table']}{OUTSIDE}"}


def _without_subject(body: str) -> str:
    try:
        record = msgspec.json.decode(body, type=AuditRecord)
    except msgspec.MsgspecError:
        # Nor does it prove anything.
        return ""
    return msgspec.json.encode(canonical.without_subject(record)).decode()


def parquet_file(output: IO[bytes], coverage: Coverage | None = None) -> Any:
    """A `formats.parquet.ParquetFile`. Raises AuditError without pyarrow."""
    try:
        module = import_module("icapd.audit.formats.parquet")
    except ModuleNotFoundError as error:
        if error.name != "pyarrow":
            raise
        raise AuditError("Parquet needs pyarrow: pip install 'icapd[parquet]'") from None
    return module.ParquetFile(output, coverage)


@contextmanager
def whole_file(path: Path, *, force: bool) -> Iterator[IO[bytes]]:
    """A file to write to, which has its name once all went well, for its owner only; else none is left.

    Raises AuditError when it can't be made, or is there already and not to be replaced (`force`).
    """
    part: Path | None = None
    try:
        _require_absent(path, force)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        part = Path(name)
        with os.fdopen(descriptor, "wb") as output:
            yield output
            output.flush()
            os.fsync(output.fileno())
        _require_absent(path, force)
        part.replace(path)
        part = None
    except OSError as error:
        raise AuditError(f"{path}: can't be written: {error.strerror}") from None
    finally:
        if part is not None:
            with suppress(OSError):
                part.unlink()


def _require_absent(path: Path, force: bool) -> None:
    if path.is_dir():
        raise AuditError(f"{path}: is a directory; name a file")
    if path.exists() and not force:
        raise AuditError(f"{path}: is there already; name another, or replace it with --force")
