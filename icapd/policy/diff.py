"""What two policies differ in, as `icapd rules diff` tells it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from icapd.policy.matching import CompiledRule
from icapd.policy.policy import Policy
from icapd.policy.policy_tables import Scope, Settings, given


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is otherwise; None where it was not there, or is not any more."""

    key: str
    old: Any
    new: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyDiff:
    """All that differs. Rules are those of any scope; what a scope makes of them stands with the scope."""

    old_digest: str
    new_digest: str
    rules_added: tuple[str, ...]
    rules_removed: tuple[str, ...]
    #: By rule: its keys that are otherwise, `enforced` among them.
    rules_changed: dict[str, tuple[Change, ...]]
    #: Of the top of policy.toml.
    top: tuple[Change, ...]
    scopes_added: tuple[str, ...]
    scopes_removed: tuple[str, ...]
    scopes_changed: dict[str, tuple[Change, ...]]
    exceptions_added: tuple[str, ...]
    exceptions_removed: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        """Whether they are the same, word by word."""
        digests = {"old_digest", "new_digest"}
        return self.old_digest == self.new_digest and not any(
            getattr(self, name) for name in self.__dataclass_fields__ if name not in digests
        )


def diff(old: Policy, new: Policy) -> PolicyDiff:
    """What is otherwise in the new one."""
    old_rules, new_rules = _rules(old), _rules(new)
    old_scopes = {scope.name: scope for scope, _ in old.scopes}
    new_scopes = {scope.name: scope for scope, _ in new.scopes}
    old_order = [name for name in old_scopes if name in new_scopes]
    new_order = [name for name in new_scopes if name in old_scopes]
    changed = {name: _scope_changes(old_scopes[name], new_scopes[name]) for name in new_order}
    for number, name in enumerate(new_order):
        if old_order[number] != name:
            changed[name] = (*changed[name], Change("place", old_order.index(name) + 1, number + 1))
    old_exceptions, new_exceptions = _exceptions(old), _exceptions(new)
    return PolicyDiff(
        old_digest=old.digest,
        new_digest=new.digest,
        rules_added=tuple(name for name in new_rules if name not in old_rules),
        rules_removed=tuple(name for name in old_rules if name not in new_rules),
        rules_changed=_filled(
            {
                name: _changes(_fields(old_rules[name]), _fields(new_rules[name]))
                for name in new_rules
                if name in old_rules
            }
        ),
        top=_changes(_settings(old.top), _settings(new.top)),
        scopes_added=tuple(name for name in new_scopes if name not in old_scopes),
        scopes_removed=tuple(name for name in old_scopes if name not in new_scopes),
        scopes_changed=_filled(changed),
        exceptions_added=tuple(text for text in new_exceptions if text not in old_exceptions),
        exceptions_removed=tuple(text for text in old_exceptions if text not in new_exceptions),
    )


def _rules(policy: Policy) -> dict[str, CompiledRule]:
    """By id: as they are at the top, or else in the first scope that has them."""
    found: dict[str, CompiledRule] = {}
    for profile in (policy.profile, *(scoped for _, scoped in policy.scopes)):
        for rule in profile.rules:
            found.setdefault(rule.id, rule)
    return found


def _fields(rule: CompiledRule) -> dict[str, Any]:
    return {**msgspec.to_builtins(rule.rule), "enforced": rule.enforced, "in_order": rule.in_order}


def _scope_changes(old: Scope, new: Scope) -> tuple[Change, ...]:
    return _changes(
        {**_conditions(old), **_settings(old.settings)}, {**_conditions(new), **_settings(new.settings)}
    )


def _conditions(scope: Scope) -> dict[str, Any]:
    return {condition.key: sorted(condition.words) for condition in scope.conditions}


def _settings(settings: Settings) -> dict[str, Any]:
    """Flat: one key for each thing that can be set."""
    flat: dict[str, Any] = {"mode": settings.mode, "audit": settings.audit, "skip": settings.skip}
    flat["packs"] = list(settings.packs)
    flat |= {f"thresholds.{key}": value for key, value in given(settings.thresholds).items()}
    flat |= {f"uninspected.{reason}": remedy for reason, remedy in settings.uninspected.items()}
    flat |= {f"override.{name}": given(override) for name, override in settings.overrides.items()}
    flat |= {f"body.{body.name}": msgspec.to_builtins(body) for body in settings.bodies}
    return flat


def _exceptions(policy: Policy) -> list[str]:
    """Each in a line, whatever its number: with where it holds, and until when."""
    lines = []
    for exemption in (*(live.exemption for live in policy.exceptions), *policy.expired):
        where = "; ".join(f"{one.key} {', '.join(sorted(one.words))}" for one in exemption.conditions)
        lines.append(
            f"{', '.join(exemption.rules)} for {where} until {exemption.expires}"
            f" ({exemption.owner}: {exemption.reason})"
        )
    return lines


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Change, ...]:
    keys = dict.fromkeys((*old, *new))
    return tuple(Change(key, old.get(key), new.get(key)) for key in keys if old.get(key) != new.get(key))


def _filled(changes: dict[str, tuple[Change, ...]]) -> dict[str, tuple[Change, ...]]:
    return {name: changed for name, changed in changes.items() if changed}
