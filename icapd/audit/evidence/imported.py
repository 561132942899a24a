"""An export of the whole trail, or archives of it, as a database, to be verified by the very same code.

The rows of JSON lines or Parquet go into a temporary SQLite file, into tables that take anything: what is
wrong with a row is for the verification to tell.
"""

import json
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import IO, Any

from sqlalchemy import LargeBinary

from icapd.audit import instants, schema
from icapd.audit.coverage import NAME, OUTSIDE, Coverage
from icapd.audit.tables import NUMBERED, Instant, audit_event, audit_finding, metadata
from icapd.errors import AuditError

_PARQUET = b"PAR1"
#: Characters of a line: a record with all the findings that there may be, and a detail of a megabyte.
_LONGEST_LINE = 16 * 1024 * 1024
#: Rows of a Parquet file that are held at a time.
_BATCH = 2000
_KEY = ("writer_id", "occurred_at", "writer_seq")

Row = Mapping[str, Any]


@contextmanager
def database_of(*files: Path) -> Iterator[str]:
    """The address of a database with the rows of an export, or of archives, until the end.

    Of a row that several archives have, there is one. Raises AuditError for what is no export.
    """
    with tempfile.TemporaryDirectory(prefix="icapd-export-") as directory:
        place = f"{directory}/export.db"
        with closing(sqlite3.connect(place)) as database, database:
            database.execute("PRAGMA journal_mode = OFF")
            _make_tables(database)
            if len(files) > 1:
                _require_different(database)
            for file in files:
                for row in _rows(file):
                    _insert(database, row)
            for table in metadata.sorted_tables:
                database.execute(f"CREATE INDEX {table.name}_writer ON {table.name} (writer_id)")
        yield f"sqlite:///{place}"


def coverage_of(export: Path) -> Coverage:
    """What an export says that it covers. Raises AuditError for one that does not, and for what is none."""
    try:
        with _opened(export) as file:
            return Coverage.of(json.loads(_said_by(export, file)))
    except (ValueError, RecursionError):
        raise AuditError(
            f"{export}: does not say that it is the whole trail of a time, so nobody can tell what is missing"
            " in it; export with no filter but --since and --until, as jsonl or parquet"
        ) from None


def _make_tables(database: sqlite3.Connection) -> None:
    for table in metadata.sorted_tables:
        database.execute(f"CREATE TABLE {table.name} ({', '.join(table.c.keys())})")
    database.execute(f"CREATE TABLE {schema.VERSION_TABLE} (version_num TEXT)")
    _run(database, schema.VERSION_TABLE, [schema.HEAD])


def _require_different(database: sqlite3.Connection) -> None:
    for table in NUMBERED:
        key = "writer_id, writer_seq, occurred_at, chain"
        database.execute(f"CREATE UNIQUE INDEX {table.name}_row ON {table.name} ({key})")


def _insert(database: sqlite3.Connection, row: Row) -> None:
    table = metadata.tables[_table_of(row)]
    values = [_stored(row.get(column.name), column.type) for column in table.c]
    is_new = _run(database, table.name, values)
    if table is audit_event and is_new:
        key = values[: len(_KEY)]
        for item_no, finding in enumerate(row.get("findings") or (), 1):
            names = list(audit_finding.c.keys())[len(_KEY) + 1 :]
            _run(
                database, audit_finding.name, [*key, item_no, *(_stored(finding.get(n), None) for n in names)]
            )


def _run(database: sqlite3.Connection, table: str, values: list[object]) -> bool:
    places = ", ".join("?" * len(values))
    # The names are those of our own tables.
    done = database.execute(f"INSERT OR IGNORE INTO {table} VALUES ({places})", values)  # noqa: S608
    return done.rowcount == 1


def _stored(value: object, type_: object) -> object:
    """As SQLite would have it; what is not what the column holds stays, as text."""
    if isinstance(type_, Instant):
        return _instant(value)
    if isinstance(type_, LargeBinary) and isinstance(value, str):
        try:
            return bytes.fromhex(value)
        except ValueError:
            return value
    if (isinstance(value, int) and abs(value) >= 2**63) or isinstance(value, list | dict):
        return json.dumps(value)
    return value


def _instant(value: object) -> object:
    try:
        if isinstance(value, datetime):
            return instants.sqlite_text(instants.from_datetime(value))
        moment = instants.from_datetime(datetime.fromisoformat(value))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return str(value)
    return instants.sqlite_text(moment) if instants.iso(moment) == value else value


def _said_by(export: Path, file: IO[bytes]) -> bytes:
    if not _is_parquet(file):
        return file.readline(_LONGEST_LINE)
    with _parquet_errors(export):
        metadata = _parquet().ParquetFile(export).schema_arrow.metadata or {}
    return bytes(metadata.get(NAME.encode(), b""))


def _rows(export: Path) -> Iterator[Row]:
    with _opened(export) as file:
        yield from _parquet_rows(export) if _is_parquet(file) else _json_rows(export, file)


@contextmanager
def _opened(export: Path) -> Iterator[IO[bytes]]:
    try:
        with export.open("rb") as file:
            yield file
    except OSError as error:
        raise AuditError(f"{export}: {error.strerror or 'is no whole Parquet file'}") from None


def _is_parquet(file: IO[bytes]) -> bool:
    beginning = file.read(len(_PARQUET))
    file.seek(0)
    return beginning == _PARQUET


def _json_rows(export: Path, file: IO[bytes]) -> Iterator[Row]:
    number = 0
    while line := file.readline(_LONGEST_LINE):
        number += 1
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if number == 1 and isinstance(row, dict) and row.get("table") == NAME:
            continue
        yield _checked(row, f"{export}: line {number}")


def _parquet_rows(export: Path) -> Iterator[Row]:
    number = 0
    with _parquet_errors(export):
        for batch in _parquet().ParquetFile(export).iter_batches(batch_size=_BATCH):
            for row in batch.to_pylist():
                number += 1
                yield _checked(row, f"{export}: row {number}")


def _parquet() -> Any:
    try:
        return import_module("pyarrow.parquet")
    except ModuleNotFoundError:
        raise AuditError("Parquet needs pyarrow: pip install 'icapd[parquet]'") from None


@contextmanager
def _parquet_errors(export: Path) -> Iterator[None]:
    try:
        yield
    except (ValueError, KeyError) as error:
        # pyarrow's own are ValueErrors.
        raise AuditError(f"{export}: is no Parquet file that can be read ({type(error).__name__})") from None


def _checked(row: object, place: str) -> Row:
    is_row = isinstance(row, dict) and _table_of(row) in metadata.tables
    findings = row.get("findings") if isinstance(row, dict) else None
    if not is_row or not (findings is None or isinstance(findings, list)):
        raise AuditError(
            f"{place}: is no row of an export by `icapd audit export --format jsonl` or `parquet`"
        )
    if not all(isinstance(finding, dict) for finding in findings or ()):
        raise AuditError(f"{place}: its findings are none")
    assert isinstance(row, dict)
    return row


def _table_of(row: Row) -> str:
    return str(row.get("table")).removesuffix(OUTSIDE)
