"""What the tests' ICAP server does otherwise than it should."""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Script:
    """Where the server departs from the bar."""

    #: What it does not look at; the names stand where it would look.
    lax: frozenset[str] = frozenset()
    #: What it does otherwise; the names stand where it does so.
    does: frozenset[str] = frozenset()
    #: Takes each reply's kind and bytes; returns what is sent in its place.
    edit: Callable[[str, bytes], bytes] = field(default=lambda kind, reply: reply)


FAULTLESS = Script()


class Refused(Exception):
    """The request gets this status, and the connection ends."""


class Gone(Exception):
    """The connection ends."""
