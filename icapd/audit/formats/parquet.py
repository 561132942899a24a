"""Rows as Apache Parquet, of all tables in one file: `table` says which a row is of.

Instants are timestamps in microseconds of UTC, bytes are hexadecimal text, findings are a list of structures.
"""

import json
from typing import IO, Any

import pyarrow as pa
from pyarrow import parquet
from sqlalchemy import BigInteger, Integer
from sqlalchemy.types import TypeEngine

from icapd.audit.coverage import NAME, Coverage
from icapd.audit.stored import PlainRow
from icapd.audit.tables import Instant, audit_finding, metadata

#: Rows that are held until they are written: some tens of MB at the very most.
_GROUP = 10_000

_KEY = ("writer_id", "occurred_at", "writer_seq", "item_no")


class ParquetFile:
    """A file being written; whole once it is closed."""

    def __init__(self, output: IO[bytes], coverage: Coverage | None) -> None:
        self._schema = _schema()
        if coverage is not None:
            self._schema = self._schema.with_metadata({NAME: json.dumps(coverage.as_row())})
        self._file = parquet.ParquetWriter(output, self._schema, compression="zstd")
        self._rows: list[PlainRow] = []

    def write(self, row: PlainRow) -> None:
        self._rows.append(row)
        if len(self._rows) >= _GROUP:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._file.close()

    def _flush(self) -> None:
        if self._rows:
            self._file.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
            self._rows.clear()


def _schema() -> Any:
    columns = {"table": pa.string()}
    for table in metadata.sorted_tables:
        if table is not audit_finding:
            columns |= {column.name: _type(column.type) for column in table.c}
    finding = [(column.name, _type(column.type)) for column in audit_finding.c if column.name not in _KEY]
    return pa.schema([*columns.items(), ("findings", pa.list_(pa.struct(finding)))])


def _type(of_column: TypeEngine[Any]) -> Any:
    if isinstance(of_column, Instant):
        return pa.timestamp("us", tz="UTC")
    if isinstance(of_column, BigInteger):
        return pa.int64()
    return pa.int32() if isinstance(of_column, Integer) else pa.string()
