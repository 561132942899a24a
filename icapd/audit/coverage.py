"""What an export of the whole trail covers. It says so itself: else what is not of it would seem taken out.

In JSON lines it is the first line, and the last one says how many rows stand between; in Parquet, which has
an end of its own, it is JSON in the file's metadata under the same name. Nobody signs it.
"""

from dataclasses import dataclass
from typing import Any, Self

from icapd import __version__
from icapd.audit import instants, schema

#: The `table` of the first and the last line, and the key of the metadata.
NAME = "audit_export"
#: What follows the table's name in rows of another time, whose numbers lie between those of the time: their
#: chain goes through them.
OUTSIDE = "_outside"


@dataclass(frozen=True, slots=True)
class Coverage:
    """Of which time it is: microseconds since 1970-01-01 UTC; None: from the beginning, to the end."""

    since: int | None = None
    until: int | None = None

    def holds(self, instant: int) -> bool:
        """Whether it is of that time."""
        return (self.since is None or self.since <= instant) and (self.until is None or instant < self.until)

    def spans(self, since: int | None, until: int | None) -> bool:
        """Whether what is asked for is of that time; None asks for nothing."""
        begins = since is None or self.holds(since)
        ends = until is None or (
            (self.since is None or self.since < until) and (self.until is None or until <= self.until)
        )
        return begins and ends

    @property
    def written(self) -> dict[str, str | None]:
        """In ISO 8601."""
        times = {"since": self.since, "until": self.until}
        return {name: None if time is None else instants.iso(time) for name, time in times.items()}

    def as_row(self) -> dict[str, object]:
        """For `of`, and for people."""
        return {"table": NAME, **self.written, "version": __version__, "schema": schema.HEAD}

    @classmethod
    def of(cls, row: Any) -> Self:
        """What the row says. Raises ValueError when it is none, or of a newer icapd."""
        if not isinstance(row, dict) or row.get("table") != NAME or "schema" not in row:
            raise ValueError("nothing at its beginning says that it is the whole trail of a time")
        if str(row["schema"]) > schema.HEAD:
            raise ValueError(f"is of the schema {row['schema']}, ahead of this icapd's {schema.HEAD}")
        times = (row.get(name) for name in ("since", "until"))
        # Both are absolute.
        return cls(*(None if time is None else instants.parse(str(time), now=0) for time in times))


def end_row(rows: int) -> dict[str, object]:
    """The last line."""
    return {"table": NAME, "rows": rows}
