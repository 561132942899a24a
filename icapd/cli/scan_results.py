"""What `icapd scan` found in one message, with its place in the text."""

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
    return tuple(
        _place(message.body, finding) if finding.target in _IN_BODY else None for finding in examined.findings
    )


def _place(body: bytes, finding: Finding) -> Place:
    line, column = _line_and_column(body, finding.start)
    end_line, end_column = _line_and_column(body, finding.end)
    return Place(line, column, end_line, end_column, finding.start, finding.end - finding.start)


def _line_and_column(body: bytes, offset: int) -> tuple[int, int]:
    begin = body.rfind(b"\n", 0, offset) + 1
    return body.count(b"\n", 0, offset) + 1, len(body[begin:offset].decode("utf-8", "replace")) + 1
