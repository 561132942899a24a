"""What a worker tells of its policy: enough to report on, and to know when it becomes another by itself.

Part of the messages, which also processes read that know nothing of policies; `policy_summary` makes it.
"""

import msgspec


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

    def next_end(self, now: float) -> float:
        """When the next exception ends; infinite when none does."""
        return next((end for end in self.ends if end > now), float("inf"))
