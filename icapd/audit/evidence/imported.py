"""An export of the whole trail, or archives of it, as a database, to be verified by the very same code.

The rows of JSON lines or Parquet go into a temporary SQLite file, into tables that take anything: what is
wrong with a row is for the verification to tell.
"""

import json
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import IO, Any

from sqlalchemy import LargeBinary

from icapd.audit import instants, schema
from icapd.audit.coverage import NAME, OUTSIDE, Coverage
from icapd.audit.evidence.faults import KEPT, Fault, Kind
from icapd.audit.evidence.rows import number
from icapd.audit.tables import NUMBERED, Instant, audit_event, audit_finding, metadata
from icapd.errors import AuditError

_PARQUET = b"PAR1"
#: Characters of a line: a record with all the findings that there may be, and a detail of a megabyte.
_LONGEST_LINE = 16 * 1024 * 1024
#: Rows of a Parquet file that are held at a time.
_BATCH = 2000
_KEY = ("writer_id", "occurred_at", "writer_seq")

Row = Mapping[str, Any]


class Export:
    """An export of the whole trail, of all time or of some."""

    def __init__(self, file: Path) -> None:
        """Raises AuditError when it can't be read, or does not say that it is one."""
        self._file = file
        self.coverage = _coverage_of(file)
        #: Rows that are not of the time that the name of their table says; the first of them.
        self.misplaced: list[Fault] = []
        #: Of JSON lines: they were cut off, or are more or fewer rows than the last one says. "" when not.
        self.problem = ""

    @contextmanager
    def database(self) -> Iterator[str]:
        """The address of a database with its rows, until the end. Raises AuditError for what are none."""
        with _database(self._rows()) as url:
            yield url

    def _rows(self) -> Iterator[Row]:
        count, said = 0, None
        for row in _rows(self._file):
            if row["table"] == NAME:
                said = row.get("rows", said)
                continue
            count += 1
            if len(self.misplaced) < KEPT and _is_misplaced(row, self.coverage):
                what = "is not of the time that the name of its table says"
                place = row.get("writer_id"), number(row.get("writer_seq")), _table_of(row)
                self.misplaced.append(Fault(Kind.ALTERED, *place, what))
            yield row
        if said != count and not _is_parquet(self._file):
            self.problem = (
                f"{self._file}: has {count} rows, but its last line does not say so: cut or changed"
            )


@contextmanager
def database_of(*archives: Path) -> Iterator[str]:
    """The address of a database with the rows of archives, until the end; of a row that several have, one.

    Raises AuditError for what is none.
    """
    with _database(chain.from_iterable(map(_rows, archives)), are_different=len(archives) > 1) as url:
        yield url


@contextmanager
def _database(rows: Iterable[Row], *, are_different: bool = False) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="icapd-export-") as directory:
        place = f"{directory}/export.db"
        with closing(sqlite3.connect(place)) as database, database:
            database.execute("PRAGMA journal_mode = OFF")
            _make_tables(database)
            if are_different:
                _require_different(database)
            for row in rows:
                _insert(database, row)
            for table in metadata.sorted_tables:
                database.execute(f"CREATE INDEX {table.name}_writer ON {table.name} (writer_id)")
        yield f"sqlite:///{place}"


def _coverage_of(export: Path) -> Coverage:
    try:
        return Coverage.of(json.loads(_said_by(export)))
    except (ValueError, RecursionError) as error:
        why = str(error) if type(error) is ValueError else "is no export"
        raise AuditError(
            f"{export}: {why}, so nobody can tell what is missing in it; give an export as jsonl or parquet"
            " with no filter but --since and --until"
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
    moment = _microseconds(value)
    if moment is None:
        return str(value)
    is_plain = isinstance(value, datetime) or instants.iso(moment) == value
    return instants.sqlite_text(moment) if is_plain else value


def _microseconds(value: object) -> int | None:
    """Of a datetime, or of ISO 8601; None of what is none."""
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)  # type: ignore[arg-type]
        return instants.from_datetime(moment)
    except (TypeError, ValueError):
        return None


def _said_by(export: Path) -> bytes:
    if not _is_parquet(export):
        with _opened(export) as file:
            return file.readline(_LONGEST_LINE)
    with _parquet_errors(export):
        metadata = _parquet().ParquetFile(export).schema_arrow.metadata or {}
    return bytes(metadata.get(NAME.encode(), b"{}"))


def _is_misplaced(row: Row, coverage: Coverage) -> bool:
    if metadata.tables[_table_of(row)] not in NUMBERED:
        return False
    instant = _microseconds(row.get("occurred_at"))
    # What is no time, its chain tells.
    return instant is not None and coverage.holds(instant) == str(row["table"]).endswith(OUTSIDE)


def _rows(export: Path) -> Iterator[Row]:
    """Those of JSON lines with the lines that say what it covers."""
    return _parquet_rows(export) if _is_parquet(export) else _json_rows(export)


@contextmanager
def _opened(export: Path) -> Iterator[IO[bytes]]:
    try:
        with export.open("rb") as file:
            yield file
    except OSError as error:
        raise AuditError(f"{export}: {error.strerror or 'can not be read'}") from None


def _is_parquet(export: Path) -> bool:
    if export.exists() and not export.is_file():
        raise AuditError(f"{export}: is no regular file; write it to one, for it is read several times")
    with _opened(export) as file:
        return file.read(len(_PARQUET)) == _PARQUET


def _json_rows(export: Path) -> Iterator[Row]:
    number = 0
    with _opened(export) as file:
        while line := file.readline(_LONGEST_LINE):
            number += 1
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                row = None
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
    except (ValueError, KeyError, OSError) as error:
        # pyarrow's own are ValueErrors, and OSErrors without a number for what it can't read to its end.
        if isinstance(error, OSError) and error.strerror:
            raise AuditError(f"{export}: {error.strerror}") from None
        raise AuditError(f"{export}: is no Parquet file that can be read ({type(error).__name__})") from None


def _checked(row: object, place: str) -> Row:
    if not isinstance(row, dict) or not _is_known(row):
        raise AuditError(
            f"{place}: is no row of an export by `icapd audit export --format jsonl` or `parquet`"
        )
    findings = row.get("findings")
    if not (findings is None or isinstance(findings, list)) or not all(
        isinstance(finding, dict) for finding in findings or ()
    ):
        raise AuditError(f"{place}: its findings are none")
    return row


def _is_known(row: Row) -> bool:
    """Whether it is of a table that exports have; rows of another time only of those that are numbered."""
    name, table = row.get("table"), metadata.tables.get(_table_of(row))
    return name == NAME or (table is not None and (name == table.name or table in NUMBERED))


def _table_of(row: Row) -> str:
    return str(row.get("table")).removesuffix(OUTSIDE)
