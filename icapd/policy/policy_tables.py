"""The tables of policy.toml: their keys as they are written, and what they come to."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

import msgspec

from icapd.policy.audit_levels import AuditLevel
from icapd.policy.conditions import Condition, Conditions
from icapd.policy.rule import ActionName, MaskName, Mode, Rule, Severity
from icapd.policy.uninspected import Remedy


def given(table: msgspec.Struct) -> dict[str, Any]:
    """The keys of a table that say something."""
    return {key: value for key, value in msgspec.structs.asdict(table).items() if value is not None}


class Override(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An [override."pack.name"] table: what this site wants otherwise than the pack."""

    #: By default what the rule itself says.
    enabled: bool | None = None
    action: ActionName | None = None
    mode: Mode | None = None
    severity: Severity | None = None
    score: int | None = None
    mask: MaskName | None = None

    def apply(self, rule: Rule) -> Rule:
        changes = given(self)
        if self.mask is not None:
            changes["redacts"] = ()  # the examples show the pack's own mask
        return msgspec.structs.replace(rule, **changes) if changes else rule

    def over(self, outer: "Override") -> "Override":
        """This one, with what it leaves open from the outer one."""
        return msgspec.structs.replace(outer, **given(self))


class Thresholds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[thresholds]: the risk scores from which a message is logged, or blocked, whatever single rules say."""

    log: int | None = None
    block: int | None = None

    def over(self, outer: "Thresholds") -> "Thresholds":
        return msgspec.structs.replace(outer, **given(self))


class Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A [[body]] table: what becomes of bodies of some types, or above some size."""

    name: str
    action: Literal["allow", "log", "block", "skip"]
    direction: Literal["request", "response", "both"] = "both"
    #: Globs; empty: every type.
    media_types: tuple[str, ...] = ()
    #: Bytes; only bodies that are larger.
    over: int | None = None
    severity: Severity = "medium"
    score: int = 0


class ScopeTable(Conditions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A [[scope]] table; what it leaves open is as at the top of the file."""

    name: str
    packs: tuple[str, ...] | None = None
    add_packs: tuple[str, ...] = ()
    remove_packs: tuple[str, ...] = ()
    mode: Mode | None = None
    #: How much of a message its audit record holds.
    audit: AuditLevel | None = None
    #: Not inspected at all.
    skip: bool = False
    override: dict[str, Any] = msgspec.field(default_factory=dict)
    thresholds: dict[str, Any] = msgspec.field(default_factory=dict)
    uninspected: dict[str, Any] = msgspec.field(default_factory=dict)
    body: list[dict[str, Any]] = msgspec.field(default_factory=list)


class ExceptionTable(Conditions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An [[exception]] table: rules that only watch, for some messages, until a day."""

    #: Ids, or globs on them.
    rules: tuple[str, ...]
    reason: str
    owner: str
    #: The last day on which it holds (UTC).
    expires: date


class PolicyFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The top of policy.toml: what holds where no scope says otherwise."""

    mode: Mode = "enforce"
    #: How much of a message its audit record holds.
    audit: AuditLevel = "full"
    packs: tuple[str, ...]
    override: dict[str, Any] = {}
    thresholds: dict[str, Any] = {}
    uninspected: dict[str, Any] = {}
    body: list[dict[str, Any]] = []
    scope: list[dict[str, Any]] = []
    exception: list[dict[str, Any]] = []


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What holds for some messages: the top of the file, or a scope on top of it."""

    mode: Mode
    packs: tuple[str, ...]
    overrides: dict[str, Override]
    thresholds: Thresholds
    uninspected: dict[str, Remedy]
    bodies: tuple[Body, ...]
    audit: AuditLevel = "full"
    skip: bool = False


@dataclass(frozen=True, slots=True)
class Scope:
    """A scope: for whom, and what."""

    name: str
    conditions: tuple[Condition, ...]
    settings: Settings


@dataclass(frozen=True, slots=True)
class Exemption:
    """An exception: for whom, of which rules, and on whose word."""

    number: int
    conditions: tuple[Condition, ...]
    rules: tuple[str, ...]
    reason: str
    owner: str
    expires: date

    def __str__(self) -> str:
        return f"exception #{self.number} for {', '.join(self.rules)} ({self.owner}: {self.reason})"


@dataclass(frozen=True, slots=True)
class PolicyTables:
    """policy.toml, checked as far as it can be without the packs."""

    top: Settings
    scopes: tuple[Scope, ...] = ()
    exemptions: tuple[Exemption, ...] = ()

    @property
    def settings(self) -> Iterator[tuple[str | None, Settings]]:
        """Of the top (None), and of each scope by its name."""
        yield None, self.top
        for scope in self.scopes:
            yield scope.name, scope.settings
