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
    #: The id of the key that fingerprints are made with.
    key_id: str = ""
    #: For so many seconds before its end an exception counts as one that ends soon.
    notice: float = 0.0

    def next_end(self, now: float) -> float:
        """When the next exception ends; infinite when none does."""
        return next((end for end in self.ends if end > now), float("inf"))

    def count(self, now: float) -> dict[str, int]:
        """How many exceptions there are at a time: `active` ones, `ending` ones among them, and `expired`."""
        active = [end for end in self.ends if end > now]
        return {
            "active": len(active),
            "ending": sum(end - now <= self.notice for end in active),
            "expired": self.expired + len(self.ends) - len(active),
        }
