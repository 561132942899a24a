"""A quick look whether a text has what asks for a closer one, and where."""

import threading

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


class EndsOf:
    """One pattern of which each place is asked for."""

    __slots__ = ("_database", "_of_thread")

    def __init__(self, pattern: bytes) -> None:
        self._database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
        self._database.compile(expressions=[pattern], ids=[0], flags=[hyperscan.HS_FLAG_DOTALL])
        # A scratch is what a scan works with; two threads must not share one.
        self._of_thread = threading.local()

    def within(self, text: bytes) -> list[int]:
        """Where a match ends, every one of them, in order."""
        try:
            scratch: hyperscan.Scratch = self._of_thread.scratch
        except AttributeError:
            scratch = self._of_thread.scratch = hyperscan.Scratch(self._database)
        ends: list[int] = []

        def note(number: int, start: int, end: int, flags: int, context: object) -> None:
            ends.append(end)

        self._database.scan(text, match_event_handler=note, scratch=scratch)
        return ends
