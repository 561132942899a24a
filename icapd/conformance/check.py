"""What a check is, and how it ends.

A check's function says nothing of itself: its line, source and requirement stand beside it in CHECKS, at the
end of its module.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from icapd.errors import IcapdError

if TYPE_CHECKING:
    from icapd.conformance.lab import Lab


class Level(Enum):
    """How much a line of the bar asks for."""

    MUST = "MUST"
    SHOULD = "SHOULD"


class Status(Enum):
    """How one check ended."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    #: Nothing that a client can send would tell: the server's settings, processes or database would.
    UNTESTABLE = "not testable from outside"
    #: What the check needs is not there, such as a Preview in OPTIONS.
    SKIPPED = "skipped"


class Violation(IcapdError):
    """The server did not hold the line. The message says what was seen, never with any of a body."""

    level: Level | None = None


class Shortfall(Violation):
    """Only what the line calls a SHOULD was not held."""

    level = Level.SHOULD


class NotApplicable(IcapdError):
    """The check can't be made here; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the bar."""

    line: int
    level: Level
    #: RFC 3507 and section, an erratum (e1-e9), a draft, or Squid where nobody else asks for it.
    source: str
    requirement: str
    #: Drives the server; returns what was seen of a server that holds the line. None: see `untestable`.
    examine: "Callable[[Lab], str] | None"
    #: Why nothing that a client sends would tell.
    untestable: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one check."""

    check: Check
    status: Status
    #: Of what was asked: SHOULD where a MUST line fell short in its SHOULD part only.
    level: Level
    seen: str

    @property
    def breaks_a_must(self) -> bool:
        """Whether this alone makes the server fail the bar."""
        return self.status is Status.FAIL and self.level is Level.MUST


def printable(data: bytes, limit: int = 80) -> str:
    """Bytes from the server as one short line that is safe to show."""
    text = data[:limit].decode("ascii", "backslashreplace")
    return "".join(character if character.isprintable() else "?" for character in text)
