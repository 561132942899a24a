"""What a fleet needs, computed from measured figures: `python -m bench.capacity`.

    python -m bench.capacity --requests 5000 --share 0.1     one row
    python -m bench.capacity --write                         the table of docs/scale.md

The figures, and the command that measured each, are in bench/capacity.toml.
"""

import argparse
import math
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "scale.md"
#: The generated part of it.
GENERATED = re.compile(r"(?<=<!-- python -m bench.capacity --write -->\n).*?(?=<!-- end -->)", re.DOTALL)

#: Of the table: requests a second, and shares of their records that are kept.
REQUESTS = (100, 1_000, 10_000, 100_000, 1_000_000)
SHARES = (1.0, 0.1, 0.01)
#: Halves of an exchange, each of which is inspected and recorded.
HALVES = 2
DAYS = 365.25 / 12
_HOUR, _DAY = 3600, 86_400
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


@dataclass(frozen=True)
class Figures:
    """What was measured: seconds of CPU of one core, records a second, bytes."""

    squid_1k: float
    squid_100k: float
    icapd_1k: float
    icapd_100k: float
    shipper: float
    database_rate: float
    event_bytes: float
    finding_bytes: float
    outbox_bytes: float
    #: What is supposed: of a response, of findings to each record, and how busy a core or a database may be.
    body_kb: float
    findings: float
    load: float

    @classmethod
    def read(cls, file: Path = ROOT / "bench" / "capacity.toml") -> Self:
        tables = tomllib.loads(file.read_text())
        return cls(**{name: table["value"] * table.get("unit", 1) for name, table in tables.items()})

    def _of_body(self, at_1k: float, at_100k: float) -> float:
        """Between the two sizes that were measured, and beyond them, along a line."""
        return at_1k + (at_100k - at_1k) * (self.body_kb - 1) / 99

    @property
    def squid(self) -> float:
        """Seconds of Squid's CPU for one request and its response."""
        return self._of_body(self.squid_1k, self.squid_100k)

    @property
    def icapd(self) -> float:
        """Seconds of icapd's CPU for both halves, with their records, less what ships them."""
        return self._of_body(self.icapd_1k, self.icapd_100k)

    @property
    def record_bytes(self) -> float:
        """In the database, with indexes and the findings that belong to it."""
        return self.event_bytes + self.findings * self.finding_bytes


@dataclass(frozen=True)
class Need:
    """What so many requests a second take."""

    requests: float
    share: float
    icapd_cores: int
    squid_cores: int
    #: Records a second that are kept.
    records: float
    cells: int
    #: Bytes: in the database, and in all outboxes together while no database answers.
    month: float
    hour_of_outage: float

    @classmethod
    def of(cls, requests: float, share: float, figures: Figures) -> Self:
        records = requests * HALVES * share
        return cls(
            requests=requests,
            share=share,
            icapd_cores=math.ceil((requests * figures.icapd + records * figures.shipper) / figures.load),
            squid_cores=math.ceil(requests * figures.squid / figures.load),
            records=records,
            cells=math.ceil(records / figures.database_rate / figures.load),
            month=records * _DAY * DAYS * figures.record_bytes,
            hour_of_outage=records * _HOUR * figures.outbox_bytes,
        )

    def row(self) -> str:
        cells = [
            *(f"{self.requests:,.0f}", f"{self.share:.0%}", f"{self.icapd_cores:,}", f"{self.squid_cores:,}"),
            *(f"{self.records:,.0f}", f"{self.cells:,}", written(self.month), written(self.hour_of_outage)),
        ]
        return f"| {' | '.join(cells)} |"


def written(size: float) -> str:
    """Bytes, with two digits that count."""
    power = min(len(_UNITS) - 1, int(math.log10(max(1, size)) // 3))
    value = size / 1000**power
    return f"{value:.1f} {_UNITS[power]}" if value < 10 else f"{value:.0f} {_UNITS[power]}"


def table(figures: Figures) -> Iterator[str]:
    """The one of docs/scale.md."""
    yield from (
        "| requests/s | records kept | icapd cores | Squid cores | records/s | cells | disk a month |"
        " outboxes, an hour of outage |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|",
    )
    for requests in REQUESTS:
        for share in SHARES:
            yield Need.of(requests, share, figures).row()


def generated() -> str:
    """What docs/scale.md has to hold."""
    return "\n".join([*table(Figures.read()), ""])


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.capacity",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--requests", type=float, help="a second, through Squid")
    parser.add_argument("--share", type=float, default=1.0, help="of the records that are kept, 0 to 1")
    parser.add_argument("--write", action="store_true", help="write the table of docs/scale.md anew")
    options = parser.parse_args()
    if options.write:
        DOCUMENT.write_text(GENERATED.sub(lambda _: generated(), DOCUMENT.read_text()))
    elif options.requests is not None:
        head, line, *_ = table(Figures.read())
        print("\n".join([head, line, Need.of(options.requests, options.share, Figures.read()).row()]))
    else:
        print(generated(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
