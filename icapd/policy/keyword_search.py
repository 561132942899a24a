"""Whether a keyword stands in a text, or within stretches of it, one after another, in one pass over it."""

from collections.abc import Collection, Iterable


def holds_one(keywords: Iterable[bytes], lowered: bytes) -> bool:
    """Whether a text, in lower case, holds one of the keywords."""
    return any(keyword in lowered for keyword in keywords)


class KeywordSearch:
    """Keywords in a text, both in lower case. What one stretch showed is not looked through for the next."""

    __slots__ = ("_absent", "_found", "_keywords", "_longest", "_lowered")

    def __init__(self, keywords: Collection[bytes], lowered: bytes) -> None:
        self._keywords = keywords
        self._lowered = lowered
        self._longest = max(map(len, keywords), default=0)
        # A keyword's place, and a stretch without any.
        self._found = (-1, -1)
        self._absent = (0, 0)

    def within(self, first: int, last: int) -> bool:
        """Whether all of a keyword stands there, or there are none to look for."""
        start, end = self._found
        if not self._keywords or first <= start < end <= last:
            return True
        since, until = self._absent
        if since <= first <= until:
            begin = max(first, until - self._longest + 1)
            until = max(until, last)
        else:
            begin, since, until = first, first, last
        for keyword in self._keywords:
            # The last one serves the following stretches, too.
            at = self._lowered.rfind(keyword, begin, last)
            if at >= 0:
                self._found = at, at + len(keyword)
                return True
        self._absent = since, until
        return False
