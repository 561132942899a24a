"""Which profile a message gets: the first scope whose conditions hold, less the rules that are excepted."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from operator import attrgetter
from typing import Any

from icapd.policy.conditions import Condition, first_unmet
from icapd.policy.facts import Facts
from icapd.policy.policy_tables import Exemption, Scope
from icapd.policy.profiles import Profile, RuleSets, exempted

#: Kinds of messages remembered with their profiles, and characters of the facts of one that is remembered:
#: what a peer can make icapd keep.
_REMEMBERED, _MAX_REMEMBERED = 4096, 1024
#: Profiles made of scopes and the exceptions that apply with them. Few of them meet in one message.
_MAX_PROFILES = 256


@dataclass(frozen=True, slots=True)
class Live:
    """An exception that had not expired when the policy was loaded."""

    exemption: Exemption
    #: The ids of its rules.
    rules: frozenset[str]

    @property
    def ends(self) -> float:
        """When it stops working: seconds since the epoch."""
        return end_of(self.exemption.expires)


def end_of(day: date) -> float:
    """The end of a day in UTC, in seconds since the epoch."""
    return datetime.combine(day + timedelta(days=1), time(), UTC).timestamp()


class Resolver:
    """Answers by the facts, and remembers its answers."""

    __slots__ = ("_by_facts", "_default", "_ends", "_exceptions", "_key", "_profiles", "_scopes", "_sets")

    def __init__(
        self,
        default: Profile,
        scopes: Iterable[tuple[Scope, Profile]],
        exceptions: Iterable[Live],
        sets: RuleSets,
    ) -> None:
        self._default = default
        self._scopes = tuple(scopes)
        self._exceptions = tuple(exceptions)
        self._sets = sets
        self._ends = tuple(sorted(live.ends for live in self._exceptions))
        conditions = [condition for scope, _ in self._scopes for condition in scope.conditions]
        conditions += [condition for live in self._exceptions for condition in live.exemption.conditions]
        self._key = _key_of(conditions)
        self._by_facts: dict[tuple[Any, int], Profile] = {}
        self._profiles: dict[tuple[int, frozenset[str]], Profile] = {}

    @property
    def next_end(self) -> float:
        """When the first exception stops working; infinite when there is none."""
        return self._ends[0] if self._ends else float("inf")

    def resolve(self, facts: Facts, now: float) -> Profile:
        """The profile for a message at this time (seconds since the epoch)."""
        ended = 0 if now < self.next_end else sum(end <= now for end in self._ends)
        key = self._key(facts), ended
        profile = self._by_facts.get(key)
        if profile is None:
            profile = self._resolve(facts, now)
            if len(facts.path) + len(facts.host) + sum(map(len, facts.groups)) <= _MAX_REMEMBERED:
                if len(self._by_facts) >= _REMEMBERED:
                    self._by_facts.clear()
                self._by_facts[key] = profile
        return profile

    def scope(self, facts: Facts) -> int:
        """The number of the first scope whose conditions hold; -1 when none does."""
        for number, (scope, _) in enumerate(self._scopes):
            if first_unmet(scope.conditions, facts) is None:
                return number
        return -1

    def exempt(self, facts: Facts, now: float) -> frozenset[str]:
        """The rules, by id, that exceptions let only watch."""
        exempt: frozenset[str] = frozenset()
        for live in self._exceptions:
            if now < live.ends and first_unmet(live.exemption.conditions, facts) is None:
                exempt |= live.rules
        return exempt

    def _resolve(self, facts: Facts, now: float) -> Profile:
        key = self.scope(facts), self.exempt(facts, now)
        profile = self._profiles.get(key)
        if profile is None:
            number, exempt = key
            base = self._scopes[number][1] if number >= 0 else self._default
            if len(self._profiles) >= _MAX_PROFILES:
                self._profiles.clear()
            profile = self._profiles[key] = exempted(base, exempt, self._sets)
        return profile


def _key_of(conditions: Sequence[Condition]) -> Callable[[Facts], Any]:
    """What of the facts the conditions ask about: all else makes no difference."""
    asked = sorted({condition.fact for condition in conditions})
    return attrgetter(*asked) if asked else lambda facts: None
