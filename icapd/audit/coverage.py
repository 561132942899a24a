"""What an export of the whole trail covers. It says so itself: else what is not of it would seem taken out.

In JSON lines it is the first line; in Parquet, JSON in the file's metadata under the same name.
"""

from dataclasses import dataclass
from typing import Any, Self

from icapd import __version__
from icapd.audit import instants, schema

#: The `table` of the line, and the key of the metadata.
NAME = "audit_export"
#: What follows the table's name in rows of another time, whose numbers lie between those of the time: their
#: chain goes through them.
OUTSIDE = "_outside"


@dataclass(frozen=True, slots=True)
class Coverage:
    """Of which time it is: microseconds since 1970-01-01 UTC; None: from the beginning, to the end."""

    since: int | None = None
    until: int | None = None

    def as_row(self) -> dict[str, object]:
        """For `of`, and for people."""
        times = {"since": self.since, "until": self.until}
        written = {name: None if time is None else instants.iso(time) for name, time in times.items()}
        return {"table": NAME, **written, "version": __version__, "schema": schema.HEAD}

    @classmethod
    def of(cls, row: Any) -> Self:
        """What the row says. Raises ValueError when it is none."""
        if not isinstance(row, dict) or row.get("table") != NAME:
            raise ValueError("is no row that says what an export covers")
        times = (row.get(name) for name in ("since", "until"))
        # Both are absolute.
        return cls(*(None if time is None else instants.parse(str(time), now=0) for time in times))
