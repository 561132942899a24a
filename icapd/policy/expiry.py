"""Which exceptions of a policy have ended, and which end soon: for those who have to see to it."""

from dataclasses import dataclass
from datetime import date, timedelta

from icapd.policy.policy import Policy

#: For so long before its last day an exception is reported.
NOTICE = timedelta(days=14)


@dataclass(frozen=True, slots=True)
class Expiry:
    """The exceptions of a policy, seen on one day."""

    #: That hold, those that end soon among them.
    active: int
    #: A line for each, with its number, rules, owner, reason and last day.
    ending: tuple[str, ...]
    expired: tuple[str, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """All that is to be reported."""
        return (*self.expired, *self.ending)


def expiry_of(policy: Policy, today: date) -> Expiry:
    """The exceptions as they stand on a day (UTC), which may be later than that of the loading."""
    exemptions = [*policy.expired, *(live.exemption for live in policy.exceptions)]
    over = [one for one in exemptions if one.expires < today]
    holding = [one for one in exemptions if one.expires >= today]
    soon = [one for one in holding if one.expires <= today + NOTICE]
    return Expiry(
        len(holding),
        tuple(f"{one} expires on {one.expires}, in {(one.expires - today).days} days" for one in soon),
        tuple(f"{one} expired on {one.expires}; take it out, or have it renewed" for one in over),
    )
