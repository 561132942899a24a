"""policy.toml read and checked, as far as that can be done without the packs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import regex

from icapd.errors import PolicyError
from icapd.policy.checks import MAX_SCORE
from icapd.policy.conditions import Conditions, conditions_of, shadows
from icapd.policy.decoding import Place, decode, faults_as_errors, read_toml
from icapd.policy.faults import RuleFault, suggest
from icapd.policy.policy_tables import (
    Body,
    ExceptionTable,
    Exemption,
    Override,
    PolicyFile,
    PolicyTables,
    Scope,
    ScopeTable,
    Settings,
    Thresholds,
)
from icapd.policy.uninspected import REASONS, Remedy

#: Scopes are asked one after another for each new kind of message, and each may have rules of its own.
MAX_SCOPES = 100
MAX_EXCEPTIONS = 500
MAX_BODIES = 100

_NAME = regex.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*+")


def read_policy(path: Path) -> PolicyTables:
    """policy.toml; PolicyError names the table and the key of the first fault."""
    file = decode(read_toml(path), PolicyFile, file=path)
    top = Settings(
        mode=file.mode,
        audit=file.audit,
        packs=file.packs,
        overrides=_overrides(file.override, path),
        thresholds=_thresholds(file.thresholds, path),
        uninspected=_uninspected(file.uninspected, path),
        bodies=_bodies(file.body, path),
    )
    for key, tables, most in (
        ("scope", file.scope, MAX_SCOPES),
        ("exception", file.exception, MAX_EXCEPTIONS),
    ):
        if len(tables) > most:
            raise PolicyError(f"has {len(tables)} tables; the most are {most}", file=path, key=key)
    scopes = tuple(_scope(table, number, top, path) for number, table in enumerate(file.scope, 1))
    _check_scopes(scopes, path)
    exemptions = tuple(_exemption(table, number, path) for number, table in enumerate(file.exception, 1))
    return PolicyTables(top, scopes, exemptions)


def _scope(table: dict[str, Any], number: int, top: Settings, path: Path) -> Scope:
    name = table.get("name")
    place = f'{path}: scope "{name if isinstance(name, str) else f"#{number}"}"'
    scope = decode(table, ScopeTable, file=place)
    if not _NAME.fullmatch(scope.name):
        problem = "write lower-case letters, digits and dashes"
        raise PolicyError(problem, file=place, key="name")
    with faults_as_errors(place):
        conditions = conditions_of(scope)
    if not conditions:
        raise PolicyError(
            "has no condition; what is to hold for all messages stands at the top of the file", file=place
        )
    if scope.skip and scope != ScopeTable(
        name=scope.name, audit=scope.audit, skip=True, **_conditions(scope)
    ):
        raise PolicyError(
            "leaves nothing but audit to be set beside it; take one or the other out", file=place, key="skip"
        )
    overrides = _overrides(scope.override, place)
    return Scope(
        scope.name,
        conditions,
        Settings(
            mode=scope.mode or top.mode,
            audit=scope.audit or top.audit,
            packs=_packs(scope, top, place),
            overrides={
                **top.overrides,
                **{name: own.over(top.overrides.get(name, Override())) for name, own in overrides.items()},
            },
            thresholds=_thresholds(scope.thresholds, place).over(top.thresholds),
            uninspected={**top.uninspected, **_uninspected(scope.uninspected, place)},
            bodies=(*_bodies(scope.body, place), *top.bodies),
            skip=scope.skip,
        ),
    )


def _conditions(table: Conditions) -> dict[str, Any]:
    return {key: getattr(table, key) for key in Conditions.__struct_fields__}


def _packs(scope: ScopeTable, top: Settings, place: str) -> tuple[str, ...]:
    packs = top.packs if scope.packs is None else scope.packs
    for pack in scope.remove_packs:
        if pack not in packs:
            raise PolicyError(
                f'"{pack}" is not on anyway{suggest(pack, packs)}', file=place, key="remove_packs"
            )
    for pack in scope.add_packs:
        if pack in packs:
            raise PolicyError(f'"{pack}" is on anyway', file=place, key="add_packs")
    return (*(pack for pack in packs if pack not in scope.remove_packs), *scope.add_packs)


def _check_scopes(scopes: Sequence[Scope], path: Path) -> None:
    for number, scope in enumerate(scopes):
        for earlier in scopes[:number]:
            place = f'{path}: scope "{scope.name}"'
            if earlier.name == scope.name:
                raise PolicyError("stands twice; give one another name", file=place, key="name")
            if shadows(earlier.conditions, scope.conditions):
                raise PolicyError(
                    f'never applies: scope "{earlier.name}" before it takes all its messages; move it up, or'
                    " leave one out",
                    file=place,
                )


def _exemption(table: dict[str, Any], number: int, path: Path) -> Exemption:
    place = f"{path}: exception #{number}"
    exception = decode(table, ExceptionTable, file=place)
    if not exception.rules:
        raise PolicyError("is empty; name a rule", file=place, key="rules")
    for key in ("reason", "owner"):
        if not getattr(exception, key).strip():
            raise PolicyError("is empty; others have to know", file=place, key=key)
    with faults_as_errors(place):
        conditions = conditions_of(exception)
    if not conditions:
        problem = 'has no condition; what is to hold for all messages is an override with mode = "monitor"'
        raise PolicyError(problem, file=place)
    return Exemption(
        number, conditions, exception.rules, exception.reason, exception.owner, exception.expires
    )


def _overrides(tables: dict[str, Any], place: Place) -> dict[str, Override]:
    for name in tables:
        if "." not in name:
            problem = 'is no id of a rule; write it in quotes: override."pack.rule"'
            raise PolicyError(problem, file=place, rule=name, key="override")
    return {name: decode(table, Override, file=place, rule=name) for name, table in tables.items()}


def _thresholds(table: dict[str, Any], place: Place) -> Thresholds:
    thresholds = decode(table, Thresholds, file=f"{place}: thresholds")
    for key, value in msgspec.structs.asdict(thresholds).items():
        if value is not None and not 1 <= value <= 100 * MAX_SCORE:
            problem = f"{value} is out of range: 1 to {100 * MAX_SCORE}"
            raise PolicyError(problem, file=f"{place}: thresholds", key=key)
    return thresholds


def _uninspected(table: dict[str, Any], place: Place) -> dict[str, Remedy]:
    for reason, remedy in table.items():
        where = f"{place}: uninspected"
        if reason not in REASONS:
            raise PolicyError(f"unknown reason{suggest(reason, REASONS)}", file=where, key=reason)
        if remedy not in ("pass", "block"):
            raise PolicyError(f'{remedy!r} is no remedy; write "pass" or "block"', file=where, key=reason)
    return table


def _bodies(tables: list[dict[str, Any]], place: Place) -> tuple[Body, ...]:
    if len(tables) > MAX_BODIES:
        raise PolicyError(f"has {len(tables)} tables; the most are {MAX_BODIES}", file=place, key="body")
    return tuple(_body(table, number, place) for number, table in enumerate(tables, 1))


def _body(table: dict[str, Any], number: int, place: Place) -> Body:
    name = table.get("name")
    where = f'{place}: body "{name if isinstance(name, str) else f"#{number}"}"'
    body = decode(table, Body, file=where)
    try:
        if not _NAME.fullmatch(body.name):
            raise RuleFault("name", "write lower-case letters, digits and dashes")
        if not body.media_types and body.over is None:
            raise RuleFault("media_types", "say which bodies are meant: media_types, over, or both")
    except RuleFault as fault:
        raise PolicyError(fault.problem, file=where, key=fault.key) from None
    return body
