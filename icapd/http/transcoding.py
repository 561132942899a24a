"""A text of another charset in UTF-8, and changes to that brought back to its own bytes.

The bytes that no change touches stay as they are, also where they are no character at all, or spell one in an
unusual way: nothing is encoded anew but what a change covers.
"""

import codecs
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from icapd.errors import CodingError
from icapd.http.charsets import STATEFUL

# Bytes that are decoded at a time; within about so many an offset is looked for.
_STEP = 1024
# Bytes that may wait for a character to end. Only UTF-7 has long ones: rows of base64.
_MAX_PENDING = 4096
# The same where it has to be looked for step by step; with shifts, a longer stretch is not looked through.
_FINE_STEP, _MAX_WALKED = 32, 8 * 1024
# What an escape of ISO 2022 begins with, and the bytes within which Python's decoders wait for its end.
_ESCAPE, _MAX_ESCAPE = b"\x1b", 16
# Bytes that are decoded together where they are no character, and some more.
_MAX_SPLIT = 8


class Edit(NamedTuple):
    """What is to stand in the place of a span."""

    start: int
    end: int
    replacement: bytes


class _Place(NamedTuple):
    """A place between two characters, in UTF-8 and in the text's own bytes, at which decoding can begin."""

    utf8: int
    own: int


class Transcoding:
    """One text, transcoded as it comes. Offsets count from its beginning, in UTF-8 unless said otherwise."""

    def __init__(self, charset: str) -> None:
        """`charset`: as `charset_of` gives it."""
        self._charset: Final = charset
        self._decoder = codecs.getincrementaldecoder(charset)("replace")
        self._neutral: Final = self._decoder.getstate()[1]
        # What has come and not been taken: from `_start` to `_end`, and what is not decoded yet.
        self._own = bytearray()
        self._start = _Place(0, 0)
        self._end = _Place(0, 0)
        # From `_start` on, _STEP bytes or more apart.
        self._marks = [self._start]
        # Where an offset was last looked for step by step: some places between two marks, and all between two
        # of these.
        self._fine: list[_Place] = []
        self._walked: list[_Place] = []

    def feed(self, data: bytes, *, is_last: bool = False) -> bytes:
        """The next bytes in UTF-8; what is no character becomes U+FFFD. Texts with shifts have to come whole.

        Raises CodingError `charset` where a character takes longer to end than any text has it.
        """
        out = []
        self._fine = self._walked = []
        at = 0
        while at < len(data) or is_last:
            end = self._end_of_part(data, at)
            is_end = is_last and end >= len(data)
            part, at = data[at:end], end
            text = self._decoder.decode(part, is_end).encode("utf-8", "replace")
            self._own += part
            pending, state = self._decoder.getstate()
            if len(pending) > _MAX_PENDING:
                raise CodingError("charset", f"a character of {self._charset} does not end")
            self._end = _Place(self._end.utf8 + len(text), self._start.own + len(self._own) - len(pending))
            if state == self._neutral and self._end.own - self._marks[-1].own >= _STEP:
                self._marks.append(self._end)
            out.append(text)
            if is_end:
                break
        return b"".join(out)

    def _end_of_part(self, data: bytes, begin: int) -> int:
        """Where to end what is decoded at a time: the decoder keeps no more of an escape than 8 bytes."""
        end = begin + _STEP
        if self._charset in STATEFUL:
            while data.find(_ESCAPE, end - _MAX_ESCAPE, end) >= 0:
                end += _MAX_ESCAPE
        return end

    def respell(self, edits: Iterable[Edit]) -> bytes:
        """All of the text that has come, with edits made; they are given in their order."""
        return self.take(self._end.utf8, edits)

    def take(self, until: int, edits: Iterable[Edit] = (), *, keeps_length: bool = False) -> bytes:
        """The text's own bytes, with edits made, from where the last step ended to the character at `until`.

        No edit reaches beyond that. `keeps_length`: each edit takes as many bytes as what it stands for.
        """
        out: list[bytes] = []
        position = self._start
        for start, end, group in self._grouped(edits):
            out += [self._between(position, start), self._spell(start, end, group, keeps_length)]
            position = end
        stop = max(position, self._end if until == self._end.utf8 else self._place_before(until))
        out.append(self._between(position, stop))
        del self._own[: stop.own - self._start.own]
        self._start = stop
        self._marks = [stop, *self._marks[bisect_right(self._marks, stop) :]]
        self._fine = self._walked = []
        return b"".join(out)

    def own_offset(self, offset: int) -> int:
        """Where in the text's own bytes the character begins that `offset` is in."""
        return self._place_before(offset).own

    def _grouped(self, edits: Iterable[Edit]) -> list[tuple[_Place, _Place, list[Edit]]]:
        """Edits together whose surroundings can only be encoded together, and where these begin and end."""
        groups: list[tuple[_Place, _Place, list[Edit]]] = []
        for edit in edits:
            start, end = self._place_before(edit.start), self._place_behind(edit.end)
            if groups and start < groups[-1][1]:
                first, last, group = groups[-1]
                group.append(edit)
                groups[-1] = (first, max(last, end), group)
            else:
                groups.append((start, end, [edit]))
        return groups

    def _spell(self, start: _Place, end: _Place, edits: list[Edit], keeps_length: bool) -> bytes:
        """What stands between two places, with edits made, in the text's own charset."""
        own = self._between(start, end)
        text = self._decoded(own)
        parts, position = [], 0
        for edit in edits:
            parts += [text[position : edit.start - start.utf8], edit.replacement]
            position = edit.end - start.utf8
        parts.append(text[position:])
        changed = b"".join(parts)
        if not keeps_length:
            return self._encoded(changed)
        blank = self._encoded(b" ")
        size, odd = divmod(len(own), len(blank))
        spelled = self._encoded(_fitted(changed, size))
        if len(spelled) + odd != len(own):
            spelled = self._encoded(b"*" * size)
        # Half a character at the end of the text.
        return spelled + own[len(own) - odd :]

    def _place_before(self, offset: int) -> _Place:
        """The last place at or before an offset."""
        places = self._places(offset)
        return places[bisect_right(places, offset, key=_utf8) - 1]

    def _place_behind(self, offset: int) -> _Place:
        """The first place at or behind an offset."""
        places = self._places(offset)
        number = bisect_left(places, offset, key=_utf8)
        return places[number] if number < len(places) else self._end

    def _places(self, offset: int) -> list[_Place]:
        """The one at an offset, or else those around it, in their order; the first one is not behind it."""
        begin, end = _around(self._marks, self._end, offset)
        own = self._between(begin, end)
        place = self._directly(own, begin, offset)
        if place is not None:
            return [place]
        if self._charset in STATEFUL and len(own) > _MAX_WALKED:
            return [begin, end]
        if not self._fine or self._fine[0] != begin:
            self._fine = self._look_through(begin, end, _FINE_STEP)
        begin, end = _around(self._fine, end, offset)
        if not self._walked or self._walked[0] != begin:
            self._walked = self._look_through(begin, end, 1)
        return self._walked

    def _directly(self, own: bytes, begin: _Place, offset: int) -> _Place | None:
        """The place at an offset in a stretch that is spelled as it would be encoded: nearly always it is."""
        if self._charset in STATEFUL:
            return None
        text = self._decoded(own)
        try:
            ahead = text[: offset - begin.utf8].decode("utf-8").encode(self._charset)
        except UnicodeError:
            return None
        if own.startswith(ahead) and self._decoded(own[len(ahead) :]) == text[offset - begin.utf8 :]:
            return _Place(offset, begin.own + len(ahead))
        return None

    def _look_through(self, begin: _Place, stop: _Place, step: int) -> list[_Place]:
        """Places in a stretch between two: all of them, byte by byte, or some with a greater step."""
        decoder = codecs.getincrementaldecoder(self._charset)("replace")
        places, utf8, own = [begin], begin.utf8, self._between(begin, stop)
        for at in range(0, len(own), step):
            part = own[at : at + step]
            try:
                text = decoder.decode(part, at + step >= len(own))
            except UnicodeError:
                # An escape that is none, and too long for the decoder to keep.
                return [begin, stop]
            utf8 += len(text.encode("utf-8", "replace"))
            pending, state = decoder.getstate()
            if text and state == self._neutral:
                last, end = places[-1], _Place(utf8, begin.own + at + len(part) - len(pending))
                if step == 1 and len(text) > 1:
                    places += self._inner(own[last.own - begin.own : end.own - begin.own], last, end)
                places.append(end)
        if places[-1] != stop:
            # Behind a shift, with which no text has come.
            places.append(stop)
        return places

    def _inner(self, own: bytes, begin: _Place, end: _Place) -> list[_Place]:
        """The places between two, at which a few bytes can be cut that were decoded together.

        Behind what is no character another one may begin at once.
        """
        if end.own - begin.own > _MAX_SPLIT or self._charset in STATEFUL:
            return []
        text, places = self._decoded(own), []
        for at in range(1, len(own)):
            head = self._decoded(own[:at])
            if head + self._decoded(own[at:]) == text and begin.utf8 + len(head) < end.utf8:
                places.append(_Place(begin.utf8 + len(head), begin.own + at))
        return places

    def _decoded(self, own: bytes) -> bytes:
        return own.decode(self._charset, "replace").encode("utf-8", "replace")

    def _encoded(self, text: bytes) -> bytes:
        return text.decode("utf-8", "replace").encode(self._charset, "replace")

    def _between(self, start: _Place, end: _Place) -> bytes:
        return bytes(self._own[start.own - self._start.own : end.own - self._start.own])


def _utf8(place: _Place) -> int:
    return place.utf8


def _around(marks: list[_Place], end: _Place, offset: int) -> tuple[_Place, _Place]:
    """The mark before an offset, and the next one or the end."""
    number = bisect_right(marks, offset, key=_utf8)
    return marks[number - 1], marks[number] if number < len(marks) else end


def _fitted(text: bytes, size: int) -> bytes:
    """A replacement, which may have been filled up, in so many bytes."""
    if len(text) <= size:
        return text.ljust(size, b" " if text.endswith(b" ") else b"*")
    return text[:size] if len(text.rstrip(b"* ")) <= size else b"*" * size


def difference(text: bytes, changed: bytes) -> Edit:
    """One edit that makes a text another one: all between what both begin and what both end with."""
    size = min(len(text), len(changed))
    start = _shared(size, lambda count: text[:count] == changed[:count])
    end = _shared(size - start, lambda count: text[len(text) - count :] == changed[len(changed) - count :])
    return Edit(start, len(text) - end, changed[start : len(changed) - end])


def _shared(most: int, holds: Callable[[int], bool]) -> int:
    """The greatest number up to `most` for which something holds that holds for all smaller ones."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if holds(middle):
            low = middle
        else:
            high = middle - 1
    return low
