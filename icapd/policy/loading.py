"""A directory of rule files made into one policy: choose packs, apply overrides, compile, prove."""

import importlib.resources
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from icapd.errors import PolicyError
from icapd.policy.checks import check_reach, check_rule
from icapd.policy.databases import Databases, default_cache_directory
from icapd.policy.decoding import decode, faults_as_errors, read_toml
from icapd.policy.faults import suggest
from icapd.policy.matching import CompiledRule, compile_rule
from icapd.policy.pack import Pack, load_pack
from icapd.policy.policy import Policy, policy_digest
from icapd.policy.proofs import prove
from icapd.policy.rule import ActionName, Mode, Rule, Severity
from icapd.policy.ruleset import RuleSet

POLICY_FILE = "policy.toml"


class Override(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An [override."pack.name"] table: what this site wants otherwise than the pack."""

    enabled: bool = True
    action: ActionName | None = None
    mode: Mode | None = None
    severity: Severity | None = None
    score: int | None = None

    def apply(self, rule: Rule) -> Rule:
        changes = {key: value for key, value in msgspec.structs.asdict(self).items() if value is not None}
        del changes["enabled"]
        return msgspec.structs.replace(rule, **changes)


class PolicyFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """policy.toml: which packs apply, in which mode, and what is overridden in them."""

    mode: Mode = "enforce"
    packs: tuple[str, ...]
    override: dict[str, Any] = {}


def default_rules_directory() -> Path:
    """The rule files that come with icapd."""
    return Path(str(importlib.resources.files("icapd.rules")))


def load_policy(
    directory: str | Path, packs: Sequence[str] | None = None, mode: Mode | None = None
) -> Policy:
    """The policy that the rule files in a directory make, checked whole and proved by its own examples.

    `packs` and `mode` replace what policy.toml says; with `packs` there need be no policy.toml.
    Raises PolicyError, which names file, rule and key of the first fault.
    """
    directory = Path(directory)
    path = directory / POLICY_FILE
    if packs is None or path.exists():
        file = decode(read_toml(path), PolicyFile, file=path)
    else:
        file = PolicyFile(packs=())
    overrides = {name: decode(table, Override, file=path, rule=name) for name, table in file.override.items()}
    chosen, place = (file.packs, path) if packs is None else (tuple(packs), directory)
    loaded = [load_pack(pack_path) for pack_path in _pack_paths(directory, chosen, place)]
    _check_overrides(overrides, loaded, path, others_allowed=packs is not None)
    effective_mode = mode or file.mode
    rules = tuple(rule for pack in loaded for rule in _compiled(pack, overrides, effective_mode, path))
    databases = Databases(default_cache_directory())
    return Policy(
        digest=policy_digest(rules),
        mode=effective_mode,
        packs=chosen,
        rules=rules,
        request=RuleSet((rule for rule in rules if rule.rule.covers("request")), databases),
        response=RuleSet((rule for rule in rules if rule.rule.covers("response")), databases),
    )


def _pack_paths(directory: Path, names: Sequence[str], place: Path) -> Iterator[Path]:
    """The files of the named packs; `place` is where the names were given."""
    available = sorted(file.stem for file in directory.glob("*.toml") if file.name != POLICY_FILE)
    for number, name in enumerate(names):
        if name not in available:
            raise PolicyError(f'no pack "{name}"{suggest(name, available)}', file=place, key="packs")
        if name in names[:number]:
            raise PolicyError(f'names "{name}" twice; once is enough', file=place, key="packs")
        yield directory / f"{name}.toml"


def _check_overrides(
    overrides: dict[str, Override], packs: Sequence[Pack], path: Path, *, others_allowed: bool
) -> None:
    """Every override must have its rule; those for packs that the caller left out may wait for theirs."""
    rules = {pack.name: [rule.id for rule in pack.rules] for pack in packs}
    for name in overrides:
        pack = name.partition(".")[0]
        if pack not in rules and not others_allowed:
            known = suggest(pack, rules)
            raise PolicyError(
                f'pack "{pack}" is not among packs{known}', file=path, rule=name, key="override"
            )
        if pack in rules and name not in rules[pack]:
            raise PolicyError(
                f"no such rule{suggest(name, rules[pack])}", file=path, rule=name, key="override"
            )


def _compiled(pack: Pack, overrides: dict[str, Override], mode: Mode, path: Path) -> Iterator[CompiledRule]:
    """The pack's rules as they are to run, each one proved."""
    for rule in pack.rules:
        override = overrides.get(rule.id, Override())
        if not override.enabled:
            continue
        effective = override.apply(rule)
        with faults_as_errors(path, rule.id):
            check_rule(effective, pack.name)
        with faults_as_errors(pack.path, rule.id):
            compiled = compile_rule(effective, mode=mode, in_order=pack.header.redaction == "in-order")
            check_reach(effective)
        for failure in prove(compiled).failures:
            raise PolicyError(failure.problem, file=pack.path, rule=rule.id, key=failure.key)
        yield compiled
