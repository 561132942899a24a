"""Where in a text the keywords of a rule stand."""

import re
from collections.abc import Iterable

import hyperscan

from icapd.policy.one_pass import OnePass, compile_database

#: Places that are told apart; a text with more of them is looked at everywhere.
MAX_PLACES = 2000

_EACH = hyperscan.HS_FLAG_CASELESS


class KeywordPlaces:
    """Looks for the keywords of one rule; its database is made when it is first asked."""

    __slots__ = ("_keywords", "_pass")

    def __init__(self, keywords: Iterable[bytes]) -> None:
        self._keywords = sorted(keywords)
        self._pass: OnePass | None = None

    def within(self, text: bytes) -> list[int] | None:
        """The ends of keywords, in order; None when there are too many of them to tell."""
        if self._pass is None:
            self._pass = OnePass(compile_database([(re.escape(word), _EACH) for word in self._keywords]))
        return self._pass.ends(text, MAX_PLACES)
