"""The way between a text with escapes and the same text decoded."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from itertools import accumulate, islice


class OffsetMap:
    """Which bytes of a decoded text came from which bytes of its source.

    Both are cut into the same parts, in turn a literal one (as long in both, maybe empty) and an escape.
    Part `i` spans `edges[i]` to `edges[i + 1]`; the even ones are literal. Both texts may grow at their end
    and be forgotten at their beginning.
    """

    __slots__ = ("_decoded", "_source")

    def __init__(self, literal: int = 0) -> None:
        """`literal`: bytes that both texts begin with."""
        self._source = [0, literal]
        self._decoded = [0, literal]

    @property
    def source_end(self) -> int:
        return self._source[-1]

    def extend(self, source: Iterable[bytes], decoded: Iterable[bytes]) -> None:
        """Add parts to the end; the first and the last one of them are literal."""
        for edges, parts in ((self._source, source), (self._decoded, decoded)):
            # A literal part behind a literal part makes it longer.
            edges.extend(islice(accumulate(map(len, parts), initial=edges.pop()), 1, None))

    def to_source(self, start: int, end: int) -> tuple[int, int]:
        """The bytes of the source that a span, not an empty one, came from; escapes are always whole."""
        first = bisect_right(self._decoded, start) - 1
        last = bisect_left(self._decoded, end) - 1
        if first % 2:
            source_start = self._source[first]
        else:
            source_start = self._source[first] + start - self._decoded[first]
        if last % 2:
            return source_start, self._source[last + 1]
        return source_start, self._source[last] + end - self._decoded[last]

    def from_source(self, offset: int) -> int:
        """The first decoded byte that came from `offset` or from behind it."""
        part = bisect_right(self._source, offset) - 1
        if part + 1 >= len(self._source):
            return self._decoded[-1]
        if part % 2 == 0:
            return self._decoded[part] + offset - self._source[part]
        return self._decoded[part if offset == self._source[part] else part + 1]

    def source_of(self, offset: int) -> int:
        """Where the source goes on for a decoded offset that `from_source` gave."""
        part = bisect_right(self._decoded, offset) - 1
        return self._source[part] if part % 2 else self._source[part] + offset - self._decoded[part]

    def narrow(self, start: int, end: int) -> tuple[int, int]:
        """A span of the source without the escapes that it cuts; within a single one, that one whole.

        A match that ends between a backslash and its quote is an accident of the spelling: the decoded text
        tells what was meant, and an escape that was split would break the format.
        """
        first = bisect_right(self._source, start) - 1
        last = bisect_left(self._source, end) - 1
        cuts_first = first % 2 == 1 and start > self._source[first]
        cuts_last = last % 2 == 1 and end < self._source[last + 1]
        if first == last and (cuts_first or cuts_last):
            return self._source[first], self._source[first + 1]
        if cuts_first:
            start = self._source[first + 1]
        if cuts_last:
            end = self._source[last]
        return (start, end) if start < end else (self._source[first], self._source[last + 1])

    def forget(self, decoded: int) -> None:
        """Give up what came before that decoded byte; spans there can't be asked for any more."""
        part = bisect_right(self._decoded, decoded) - 1
        # The first part that stays is literal as well.
        part -= part % 2
        if part > 0:
            del self._source[:part], self._decoded[:part]
