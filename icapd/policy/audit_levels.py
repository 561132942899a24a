"""How much of a message its audit record holds: the key `audit` of a policy and of its scopes."""

from dataclasses import dataclass
from typing import Literal

#: From the least to the most; each holds all that the one before does.
AuditLevel = Literal["none", "metadata", "findings", "full"]


@dataclass(frozen=True, slots=True)
class Kept:
    """What a record holds beside what all do: when, where to, how large, what was decided, by which rules."""

    #: A row of its own for a message that was allowed, wholly read, and in which nothing was found.
    quiet_messages: bool
    #: Of the user.
    name: bool
    path: bool
    #: Of findings.
    fingerprints: bool
    excerpts: bool


KEPT: dict[AuditLevel, Kept] = {
    "none": Kept(quiet_messages=False, name=False, path=False, fingerprints=False, excerpts=False),
    "metadata": Kept(quiet_messages=True, name=False, path=False, fingerprints=False, excerpts=False),
    "findings": Kept(quiet_messages=True, name=True, path=False, fingerprints=True, excerpts=False),
    "full": Kept(quiet_messages=True, name=True, path=True, fingerprints=True, excerpts=True),
}
