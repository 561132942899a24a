"""Event streams (WHATWG HTML section 9.2): each event is inspected whole and leaves once it is there."""

import re
from collections.abc import Callable
from dataclasses import replace
from time import monotonic

from icapd.errors import OutOfPatience, ScanTimeout
from icapd.http.media_types import MediaType
from icapd.inspection.body import Examination, examine
from icapd.inspection.budget import Budget
from icapd.inspection.findings import Finding, FindingLog
from icapd.inspection.formats import text_format
from icapd.inspection.limits import InspectionLimits
from icapd.inspection.server_sent_event import EventData, parse_event
from icapd.inspection.window import WindowStage
from icapd.policy import RuleSet

# Data has no type of its own; whether it is JSON, it shows.
_PLAIN = MediaType()
_NOTHING = Examination((), b"")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# An event ends with the first byte of its empty line. The line feed that may follow a carriage return is not
# waited for: whenever it comes, it goes the way of the empty lines.
_END_OF_EVENT = re.compile(rb"(?>\r\n?|\n)[\r\n]")
_EMPTY_LINES = re.compile(rb"[\r\n]+")
# A comment in front is no part of the event behind it: keep-alives do not wait.
_END_OF_LINE = re.compile(rb"[\r\n]")


class EventStreamStage:
    """Takes an event stream apart, inspects what each event carries, and puts it together again.

    What no rule changes leaves byte for byte as it came. A blocked event ends the stream before it. An event
    above `max_event_size` flows through a window, like any long text.
    """

    def __init__(
        self, media_type: MediaType, rules: RuleSet, log: FindingLog, limits: InspectionLimits
    ) -> None:
        #: Whether a rule in force has blocked the stream.
        self.cut = False
        #: Whether an event was too large to be read as a whole one.
        self.leaves_unread = False
        self.patient = True
        self._media_type = media_type
        self._rules = rules
        self._log = log
        self._limits = limits
        self._buffer = bytearray()
        # Where the buffer begins in the stream, and how far the end of the event has been searched for in it.
        self._offset = 0
        self._searched = 0
        # An event that is taken and not inspected yet, and what may leave and has not.
        self._event = b""
        self._out: list[bytes] = []
        # While an event passes that is too large to be seen whole.
        self._window: WindowStage | None = None

    @property
    def findings(self) -> list[Finding]:
        return self._log.findings

    def feed(self, data: bytes) -> bytes:
        self._buffer += data
        until = None if self.patient else monotonic() + self._limits.patience
        while (self._event or self._buffer) and not self.cut:
            if self._event:
                step: bytes | None = self._inspect(until)
            elif self._window is None:
                step = self._next(until)
            else:
                step = self._next_of_large(self._window)
            if step is None:
                break
            self._out.append(step)
            if until is not None and monotonic() > until and self._buffer:
                raise OutOfPatience
        return self._leave()

    def finish(self) -> bytes:
        if self.cut:
            return self._leave()
        until = None if self.patient else monotonic() + self._limits.patience
        rest = self._take(len(self._buffer))
        if self._window is not None:
            self._out.append(self._finish_large(self._window, rest))
        else:
            # Clients drop an event that does not end, but what it holds has reached them.
            self._event += rest
            self._out.append(self._inspect(until))
        return self._leave()

    def _leave(self) -> bytes:
        out = b"".join(self._out)
        self._out.clear()
        return out

    def _take(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        self._offset += size
        self._searched = 0
        return taken

    def _next(self, until: float | None) -> bytes | None:
        """The next comment or event, inspected; None when none is all there."""
        empty_lines = _EMPTY_LINES.match(self._buffer)
        if empty_lines is not None:
            return self._take(empty_lines.end())
        ending = _END_OF_LINE if self._buffer.startswith(b":") else _END_OF_EVENT
        end = ending.search(self._buffer, self._searched)
        # The size is what comes before the byte that tells the end, in whatever pieces that came.
        if end is not None and end.end() - 1 <= self._limits.max_event_size:
            self._event = self._take(end.end())
            return self._inspect(until)
        if len(self._buffer) > self._limits.max_event_size:
            self._window = WindowStage(self._media_type, self._rules, self._log, self._limits, self._offset)
            self._searched = 0
            self.leaves_unread = self.leaves_unread or bool(self._rules.field_rules)
            return b""
        # The last line end may be the first half of what ends the event; CRLF has two bytes.
        self._searched = max(0, len(self._buffer) - 2)
        return None

    def _next_of_large(self, window: WindowStage) -> bytes | None:
        """What can leave of a large event."""
        end = _END_OF_EVENT.search(self._buffer)
        if end is not None:
            self._window = None
            return self._finish_large(window, self._take(end.end()))
        # The line end at the end may be the first half of what ends the event.
        passing = len(self._buffer.rstrip(b"\r\n"))
        if not passing:
            return None
        out = window.feed(self._take(passing))
        self._note_passage(window)
        return out

    def _finish_large(self, window: WindowStage, rest: bytes) -> bytes:
        out = window.feed(rest) + window.finish()
        self._note_passage(window)
        return out

    def _note_passage(self, window: WindowStage) -> None:
        self.cut = window.cut
        self.leaves_unread = self.leaves_unread or window.leaves_unread

    def _inspect(self, until: float | None) -> bytes:
        """The event, or what stands alone like one, redacted; nothing when it is blocked.

        OutOfPatience behind `until`: then it is still to be inspected.
        """
        raw, allowed = self._event, self._limits.scan_timeout
        start = self._offset - len(raw)
        mark = _BYTE_ORDER_MARK if start == 0 and raw.startswith(_BYTE_ORDER_MARK) else b""
        lines = parse_event(raw, len(mark))
        data = EventData(lines)
        wait = allowed if until is None else min(allowed, until - monotonic())
        budget = Budget(wait)
        try:
            of_data = self._examine(data.text, budget)
            of_others = {line.offset: self._examine(line.value, budget) for line in lines if not line.is_data}
        except ScanTimeout:
            if wait < allowed:
                raise OutOfPatience from None
            raise
        self._event = b""
        self._note(of_data, start, data.locate)
        values = iter(of_data.text.split(b"\n"))
        out = [mark]
        for line in lines:
            if line.is_data:
                value = next(values, None)
                # A redaction across lines leaves fewer of them.
                if value is not None:
                    out.append(line.encode(value))
            else:
                examination = of_others[line.offset]
                self._note(examination, start, line.locate)
                out.append(line.encode(examination.text))
        return b"" if self.cut else b"".join(out)

    def _examine(self, text: bytes, budget: Budget) -> Examination:
        if not text:
            return _NOTHING
        kind, fingerprinter = text_format(_PLAIN, text), self._log.fingerprinter
        return examine(text, kind, self._rules, budget.left(), fingerprinter)

    def _note(self, examination: Examination, start: int, locate: Callable[[int], int]) -> None:
        """`locate`: from an offset in what was examined to one in the event, which begins at `start`."""
        for hit in examination.hits:
            self._log.add(replace(hit, start=start + locate(hit.start), end=start + locate(hit.end - 1) + 1))
            self.cut = self.cut or hit.blocks
