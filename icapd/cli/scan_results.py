"""What `icapd scan` found in one message, with its place in the text."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from icapd.cli.scan_sources import Source
from icapd.inspection import Finding
from icapd.services.body_plan import content_codings
from icapd.services.examination import MessageExamination

#: Targets whose offsets count in the body.
_IN_BODY = frozenset({"body", "field"})


@dataclass(frozen=True, slots=True)
class Place:
    """Line and column of both ends, from 1, in characters; offset and length in bytes."""

    line: int
    column: int
    end_line: int
    end_column: int
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Result:
    """One message scanned, or not."""

    source: Source
    examined: MessageExamination | None = None
    #: Why its body was not read though nothing failed, such as `media-type`.
    skipped: str = ""
    #: Why nothing can be said of it.
    problem: str = ""
    #: Where each finding is; None for those that are not in the text, or in a text that was packed.
    places: tuple[Place | None, ...] = ()

    @property
    def findings(self) -> tuple[Finding, ...]:
        return self.examined.findings if self.examined is not None else ()


def places_of(source: Source, examined: MessageExamination) -> tuple[Place | None, ...]:
    """Where the findings are, as far as the file itself shows them."""
    message = source.message
    if not examined.findings or message is None or content_codings(message.headers):
        return tuple(None for _ in examined.findings)
    try:
        message.body.decode("utf-8")
    except UnicodeDecodeError:
        # Offsets are those of the text in UTF-8.
        return tuple(None for _ in examined.findings)
    inside = [finding for finding in examined.findings if finding.target in _IN_BODY]
    positions = _positions(
        message.body, {edge for finding in inside for edge in (finding.start, finding.end)}
    )
    return tuple(
        _place(positions, finding) if finding.target in _IN_BODY else None for finding in examined.findings
    )


def _place(positions: Mapping[int, tuple[int, int]], finding: Finding) -> Place:
    start, end = finding.start, finding.end
    return Place(*positions[start], *positions[end], start, end - start)


def _positions(body: bytes, offsets: Iterable[int]) -> dict[int, tuple[int, int]]:
    """Line and column of each offset, in one walk through the text."""
    positions = {}
    at, line, column = 0, 1, 1
    for offset in sorted(offsets):
        passed = body[at:offset]
        breaks = passed.count(b"\n")
        if breaks:
            line, column = line + breaks, 1
            passed = passed[passed.rfind(b"\n") + 1 :]
        column += len(passed.decode("utf-8", "replace"))
        at = offset
        positions[offset] = line, column
    return positions
