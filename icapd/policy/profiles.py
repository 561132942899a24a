"""What holds for one message: the rules and remedies that a scope, and exceptions from its rules, come to."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from icapd.policy.audit_levels import AuditLevel
from icapd.policy.bodies import Skipped
from icapd.policy.databases import Databases
from icapd.policy.facts import Direction
from icapd.policy.matching import CompiledRule
from icapd.policy.policy_tables import Thresholds
from icapd.policy.rule import Mode
from icapd.policy.ruleset import RuleSet
from icapd.policy.uninspected import BY_POLICY, Remedy

NO_THRESHOLDS = Thresholds()


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Profile:
    """Everything that a transaction asks of its policy. Never changes."""

    #: Of the scope; "" where none applies.
    name: str
    mode: Mode
    packs: tuple[str, ...]
    #: Of both directions, in the order of the packs.
    rules: tuple[CompiledRule, ...]
    request: RuleSet
    response: RuleSet
    thresholds: Thresholds = NO_THRESHOLDS
    uninspected: Mapping[str, Remedy]
    skipped: tuple[Skipped, ...] = ()
    audit: AuditLevel = "full"
    #: Not inspected at all.
    skip: bool = False

    def rules_for(self, direction: Direction) -> RuleSet:
        return self.request if direction == "request" else self.response

    def blocks(self, reason: str, otherwise: bool) -> bool:
        """Whether a message is blocked that, for this reason, can't be inspected.

        `otherwise`: what the service's fail mode says, where the policy does not. Who only watches blocks
        nothing by policy.
        """
        remedy = self.uninspected.get(reason)
        if reason == BY_POLICY:
            return False
        return otherwise if remedy is None else remedy == "block" and self.mode == "enforce"

    def skips_body(self, direction: Direction, essence: str, length: int | None) -> bool:
        """Whether the policy says that such a body is not read."""
        return any(skipped.applies(direction, essence, length) for skipped in self.skipped)

    def __repr__(self) -> str:
        return f"<Profile {self.name or 'default'} {self.mode} {len(self.rules)} rules>"


class RuleSets:
    """Makes rule sets, one for equal rules; different ones share the databases of equal expressions."""

    def __init__(self, databases: Databases | None = None) -> None:
        self._databases = databases
        self._made: dict[tuple[CompiledRule, ...], RuleSet] = {}

    def of(self, rules: Iterable[CompiledRule], direction: Direction) -> RuleSet:
        """The rules among these that cover the direction."""
        chosen = tuple(rule for rule in rules if rule.rule.covers(direction))
        if chosen not in self._made:
            self._made[chosen] = RuleSet(chosen, self._databases)
        return self._made[chosen]


def exempted(profile: Profile, exempt: frozenset[str], sets: RuleSets) -> Profile:
    """The profile with these rules, by id, only watching; what they find adds nothing to the risk score."""
    if exempt.isdisjoint(rule.id for rule in profile.rules):
        return profile
    rules = tuple(
        replace(rule, enforced=False, score=0) if rule.id in exempt else rule for rule in profile.rules
    )
    return replace(
        profile, rules=rules, request=sets.of(rules, "request"), response=sets.of(rules, "response")
    )
