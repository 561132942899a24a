"""What a worker tells of its policy: enough to report on, and to know when it becomes another by itself."""

from datetime import UTC, datetime

import msgspec

from icapd.audit.storable import fit_text
from icapd.policy.expiry import NOTICE, expiry_of
from icapd.server.equipment import Prepared

#: Lines about exceptions that are told, and characters of each: a message has a limit.
_MAX_LINES, _MAX_LINE = 20, 200
#: Characters of what is wrong with a candidate.
_MAX_PROBLEM = 1000


class PolicyState(msgspec.Struct, frozen=True):
    """Of one policy, as it was loaded."""

    digest: str = ""
    #: When its exceptions end, in seconds since 1970, the first one first.
    ends: tuple[float, ...] = ()
    #: How many had ended before.
    expired: int = 0
    #: What to tell about those that have ended, or end soon.
    lines: tuple[str, ...] = ()
    #: Of the candidate that is tried beside it; "" when there is none.
    shadow: str = ""
    #: Why a candidate is not tried; "" when it is.
    shadow_problem: str = ""
    #: The id of the key that fingerprints are made with.
    key_id: str = ""

    def next_end(self, now: float) -> float:
        """When the next exception ends; infinite when none does."""
        return next((end for end in self.ends if end > now), float("inf"))

    def count(self, now: float) -> dict[str, int]:
        """How many exceptions there are at a time: `active` ones, `ending` ones among them, and `expired`."""
        active = [end for end in self.ends if end > now]
        return {
            "active": len(active),
            "ending": sum(end - now <= NOTICE.total_seconds() for end in active),
            "expired": self.expired + len(self.ends) - len(active),
        }


def state_of(prepared: Prepared) -> PolicyState:
    """The state of what was loaded just now."""
    policy, candidate = prepared.policy, prepared.candidate
    expiry = expiry_of(policy, datetime.now(UTC).date())
    return PolicyState(
        policy.digest,
        tuple(sorted(live.ends for live in policy.exceptions)),
        len(policy.expired),
        tuple(fit_text(line, _MAX_LINE) for line in expiry.lines[:_MAX_LINES]),
        candidate.policy.digest if candidate else "",
        fit_text(prepared.shadow_problem, _MAX_PROBLEM),
        prepared.key_id,
    )
