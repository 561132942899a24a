"""What a worker tells of its policy: enough to report on, and to know when it becomes another by itself."""

from datetime import UTC, datetime

import msgspec

from icapd.audit.storable import fit_text
from icapd.policy import Policy
from icapd.policy.expiry import NOTICE, expiry_of

#: Lines about exceptions that are told, and characters of each: a message has a limit.
_MAX_LINES, _MAX_LINE = 20, 200


class PolicyState(msgspec.Struct, frozen=True):
    """Of one policy, as it was loaded."""

    digest: str = ""
    #: When its exceptions end, in seconds since 1970, the first one first.
    ends: tuple[float, ...] = ()
    #: How many had ended before.
    expired: int = 0
    #: What to tell about those that have ended, or end soon.
    lines: tuple[str, ...] = ()

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


def state_of(policy: Policy) -> PolicyState:
    """The state of a policy that was loaded just now."""
    expiry = expiry_of(policy, datetime.now(UTC).date())
    return PolicyState(
        policy.digest,
        tuple(sorted(live.ends for live in policy.exceptions)),
        len(policy.expired),
        tuple(fit_text(line, _MAX_LINE) for line in expiry.lines[:_MAX_LINES]),
    )
