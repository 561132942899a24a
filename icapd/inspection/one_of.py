"""A quick look whether a text has what asks for a closer one."""

import hyperscan

from icapd.policy.one_pass import OnePass, compile_database


class OneOf:
    """Patterns, in the syntax that Hyperscan and `re` share; `.` is any byte."""

    __slots__ = ("_pass",)

    def __init__(self, *patterns: bytes) -> None:
        flags = hyperscan.HS_FLAG_SINGLEMATCH | hyperscan.HS_FLAG_DOTALL
        self._pass = OnePass(compile_database([(pattern, flags) for pattern in patterns]))

    def occurring(self, text: bytes) -> set[int]:
        """The numbers of the patterns that occur in the text."""
        return self._pass.occurring(text)

    def occur_in(self, text: bytes) -> bool:
        return bool(self._pass.occurring(text))
