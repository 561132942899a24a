"""The policy: every rule that applies, to whom, and a digest that stands for it all."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import msgspec

from icapd.policy.conditions import Condition
from icapd.policy.facts import Facts
from icapd.policy.matching import CompiledRule
from icapd.policy.policy_tables import Exemption, Scope, Settings, given
from icapd.policy.profiles import Profile
from icapd.policy.resolver import Live, Resolver
from icapd.policy.rule import Mode
from icapd.policy.ruleset import RuleSet

#: Goes up when the same rules come to give other verdicts: what Squid remembers is then void (RFC 3507 4.7).
ENGINE_VERSION = 2

#: Keys of a rule that tell about it without changing a verdict. Its mode is part of `enforced`; a rule that
#: is not enabled is not there.
_DESCRIPTIVE = frozenset(
    "enabled description tags reference match no_match redacts mode block_message".split()
)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Policy:
    """Everything that decides a verdict. Never changes; a reload makes another one."""

    #: Over all that changes a verdict or its record and nothing else: the same on every machine with the same
    #: rules.
    digest: str
    #: What holds where no scope applies and no exception.
    profile: Profile
    scopes: tuple[tuple[Scope, Profile], ...]
    exceptions: tuple[Live, ...]
    #: Those that had expired when it was loaded.
    expired: tuple[Exemption, ...]
    resolver: Resolver
    #: What policy.toml says where no scope applies.
    top: Settings

    @property
    def mode(self) -> Mode:
        return self.profile.mode

    @property
    def packs(self) -> tuple[str, ...]:
        return self.profile.packs

    @property
    def rules(self) -> tuple[CompiledRule, ...]:
        """Of both directions, in the order of the packs, where no scope applies."""
        return self.profile.rules

    @property
    def request(self) -> RuleSet:
        return self.profile.request

    @property
    def response(self) -> RuleSet:
        return self.profile.response

    @property
    def is_uniform(self) -> bool:
        """Whether all messages get the same profile."""
        return not self.scopes and not self.exceptions

    def profile_for(self, facts: Facts, now: float) -> Profile:
        """What holds for a message at this time (seconds since the epoch)."""
        return self.profile if self.is_uniform else self.resolver.resolve(facts, now)

    @property
    def istag(self) -> str:
        """The ISTag (RFC 3507 section 4.7): at most 32 characters."""
        return f"icapd-{self.digest[:20]}"

    def __repr__(self) -> str:
        return f"<Policy {self.istag} {self.mode} {' '.join(self.packs)}>"


def policy_digest(
    profile: Profile, scopes: Sequence[tuple[Scope, Profile]] = (), exceptions: Sequence[Live] = ()
) -> str:
    """SHA-256, in hex, over the engine's version and all that verdicts and records depend on, in order."""
    content: list[Any] = [ENGINE_VERSION, *map(_verdict_fields, profile.rules)]
    beyond_rules = {
        "top": _beyond_rules(profile),
        "scopes": [
            {
                "conditions": _conditions(scope.conditions),
                "mode": scoped.mode,
                "skip": scoped.skip,
                "rules": [_verdict_fields(rule) for rule in scoped.rules],
                **_beyond_rules(scoped),
            }
            for scope, scoped in scopes
        ],
        "exceptions": [
            {"conditions": _conditions(live.exemption.conditions), "rules": sorted(live.rules)}
            for live in exceptions
        ],
    }
    if any(beyond_rules.values()):
        content += [profile.mode, beyond_rules]
    return sha256(msgspec.json.encode(content, order="sorted")).hexdigest()


def _beyond_rules(profile: Profile) -> dict[str, Any]:
    """What a profile says besides its rules; nothing where that is nothing."""
    parts = {
        "thresholds": given(profile.thresholds),
        "uninspected": profile.uninspected,
        "skipped": [skipped.body for skipped in profile.skipped],
        "audit": "" if profile.audit == "full" else profile.audit,
    }
    return {key: value for key, value in parts.items() if value}


def _conditions(conditions: Iterable[Condition]) -> list[tuple[str, list[str]]]:
    return [(condition.key, sorted(condition.words)) for condition in conditions]


def _verdict_fields(rule: CompiledRule) -> dict[str, Any]:
    """What a rule's verdicts depend on; lists of alternatives sorted, for their order changes nothing."""
    fields = {
        key: value for key, value in msgspec.structs.asdict(rule.rule).items() if key not in _DESCRIPTIVE
    }
    fields |= {"enforced": rule.enforced, "in_order": rule.in_order, "max_length": rule.max_length}
    fields["validator"] = rule.rule.validators
    return {key: sorted(value) if isinstance(value, tuple) else value for key, value in fields.items()}
