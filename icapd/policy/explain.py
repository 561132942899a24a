"""What a policy says about one kind of message, and why: the answer of `icapd rules explain`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from icapd.policy.audit_levels import AuditLevel
from icapd.policy.conditions import Condition, first_unmet
from icapd.policy.facts import Facts
from icapd.policy.policy import Policy
from icapd.policy.policy_tables import given
from icapd.policy.rule import Mode
from icapd.policy.uninspected import REASONS

APPLIES = "applies"


@dataclass(frozen=True, slots=True)
class ScopeAnswer:
    """Whether a scope applies; `because` names the first condition that does not hold."""

    name: str
    applies: bool
    because: str


@dataclass(frozen=True, slots=True)
class ExceptionAnswer:
    """Whether an exception applies, and to which of the rules in force."""

    number: int
    applies: bool
    because: str
    rules: tuple[str, ...]
    owner: str
    reason: str
    expires: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What holds for a message."""

    #: Of the scope that applies; "" where none does.
    scope: str
    mode: Mode
    #: How much of a message its audit record holds.
    audit: AuditLevel
    #: Not inspected at all.
    skip: bool
    packs: tuple[str, ...]
    rules: int
    #: Rules of these packs that the policy wants otherwise, with what it wants.
    overridden: dict[str, dict[str, Any]]
    thresholds: dict[str, int]
    #: Each reason with `pass`, `block`, or `fail mode` where the service's fail mode decides.
    uninspected: dict[str, str]
    #: Names of the bodies that are not read.
    unread_bodies: tuple[str, ...]
    scopes: tuple[ScopeAnswer, ...]
    exceptions: tuple[ExceptionAnswer, ...]
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleExplanation:
    """What a rule does with a message."""

    rule: str
    #: `in force`, or why it is not.
    state: str
    scope: str
    action: str = ""
    enforced: bool = False
    severity: str = ""
    score: int = 0
    #: The exceptions that let it only watch.
    exceptions: tuple[ExceptionAnswer, ...] = ()
    override: Mapping[str, Any] = field(default_factory=dict)


def explain(policy: Policy, facts: Facts, now: float) -> Explanation:
    """What holds for a message at this time (seconds since the epoch)."""
    profile = policy.profile_for(facts, now)
    number = policy.resolver.scope(facts)
    settings = policy.top if number < 0 else policy.scopes[number][0].settings
    packs = {rule.id.partition(".")[0] for rule in profile.rules} | set(profile.packs)
    return Explanation(
        scope=profile.name,
        mode=profile.mode,
        audit=profile.audit,
        skip=profile.skip,
        packs=profile.packs,
        rules=len(profile.rules),
        overridden={
            name: given(override)
            for name, override in settings.overrides.items()
            if name.partition(".")[0] in packs
        },
        thresholds=given(profile.thresholds),
        uninspected={reason: profile.uninspected.get(reason, "fail mode") for reason in REASONS},
        unread_bodies=tuple(skipped.body.name for skipped in profile.skipped),
        scopes=tuple(_scopes(policy, facts)),
        exceptions=tuple(_exceptions(policy, facts, now)),
        digest=policy.digest,
    )


def explain_rule(policy: Policy, rule_id: str, facts: Facts, now: float) -> RuleExplanation:
    """What a rule does with a message at this time."""
    whole = explain(policy, facts, now)
    found = next((rule for rule in policy.profile_for(facts, now).rules if rule.id == rule_id), None)
    override = whole.overridden.get(rule_id, {})
    if found is None:
        return RuleExplanation(
            rule=rule_id, state=_absence(whole, rule_id, override), scope=whole.scope, override=override
        )
    applying = tuple(answer for answer in whole.exceptions if answer.applies and rule_id in answer.rules)
    return RuleExplanation(
        rule=rule_id,
        state="in force",
        scope=whole.scope,
        action=found.action.name.lower(),
        enforced=found.enforced,
        severity=found.severity,
        score=found.score,
        exceptions=applying,
        override=override,
    )


def _absence(whole: Explanation, rule_id: str, override: dict[str, Any]) -> str:
    if whole.skip:
        return "off: the message is not inspected"
    if override.get("enabled") is False:
        return "off: enabled = false in an override"
    pack = rule_id.partition(".")[0]
    if pack not in whole.packs:
        return f"off: pack {pack} is not among the packs"
    return f"unknown: pack {pack} has no such rule"


def _scopes(policy: Policy, facts: Facts) -> Iterator[ScopeAnswer]:
    taken = ""
    for scope, _ in policy.scopes:
        unmet = first_unmet(scope.conditions, facts)
        if unmet is not None:
            yield ScopeAnswer(scope.name, False, _unmet(unmet, facts))
        elif taken:
            yield ScopeAnswer(scope.name, False, f"would apply, but {taken} comes first")
        else:
            taken = scope.name
            yield ScopeAnswer(scope.name, True, APPLIES)


def _exceptions(policy: Policy, facts: Facts, now: float) -> Iterator[ExceptionAnswer]:
    for live in policy.exceptions:
        exemption = live.exemption
        unmet = first_unmet(exemption.conditions, facts)
        because = APPLIES if unmet is None else _unmet(unmet, facts)
        if now >= live.ends:
            because = "expired"
        yield ExceptionAnswer(
            exemption.number,
            because == APPLIES,
            because,
            tuple(sorted(live.rules)),
            exemption.owner,
            exemption.reason,
            exemption.expires,
        )
    for exemption in policy.expired:
        yield ExceptionAnswer(
            exemption.number,
            False,
            "expired",
            exemption.rules,
            exemption.owner,
            exemption.reason,
            exemption.expires,
        )


def _unmet(condition: Condition, facts: Facts) -> str:
    """Which condition does not hold, and for what."""
    fact: Sequence[str] | str = getattr(facts, condition.fact)
    known = fact if isinstance(fact, str) else ", ".join(fact)
    words = ", ".join(condition.words[:_SHOWN]) + (" ..." if len(condition.words) > _SHOWN else "")
    return f"{condition.key}: {known or 'not known, so it'} is none of {words}"


#: Words of a condition that an answer shows.
_SHOWN = 5
