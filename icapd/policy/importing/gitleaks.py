"""Configurations of gitleaks (TOML), as its README describes them, read and merged with those they extend."""

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from icapd.errors import PolicyError
from icapd.policy.decoding import decode, read_toml
from icapd.policy.importing.outcome import LeftOut

#: As many files may extend one another as gitleaks follows.
_MAX_EXTENDS = 2
_RULE_HEADER = re.compile(r"^[ \t]*\[\[[ \t]*rules[ \t]*\]\]", re.MULTILINE | re.IGNORECASE)
#: Keys that say nothing about what is found.
_SILENT = frozenset({"title", "description", "minversion"})


class Allowlist(msgspec.Struct, frozen=True, rename="camel"):
    """What is no finding: by commit, path, secret or word; all of them with condition AND."""

    description: str = ""
    condition: str = "OR"
    commits: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    regex_target: str = ""
    regexes: tuple[str, ...] = ()
    stopwords: tuple[str, ...] = ()
    #: Of a global one: the rules that it is for; all when empty.
    target_rules: tuple[str, ...] = ()

    @property
    def needs_all(self) -> bool:
        return self.condition.upper() in {"AND", "&&"}


class SourceRule(msgspec.Struct, frozen=True, rename="camel"):
    """One [[rules]] table."""

    id: str
    description: str = ""
    regex: str = ""
    secret_group: int = 0
    entropy: float = 0.0
    keywords: tuple[str, ...] = ()
    path: str = ""
    tags: tuple[str, ...] = ()
    allowlists: tuple[dict[str, Any], ...] = ()
    required: tuple[dict[str, Any], ...] = ()
    skip_report: bool = False


class Extend(msgspec.Struct, frozen=True, rename="camel"):
    use_default: bool = False
    path: str = ""
    disabled_rules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Placed:
    """A rule with its allow lists read, and where its file has it."""

    rule: SourceRule
    allowlists: tuple[Allowlist, ...]
    place: str


@dataclass(frozen=True, slots=True)
class Configuration:
    """All rules, by their ids, and the allow lists for all of them."""

    title: str = ""
    rules: dict[str, Placed] = field(default_factory=dict)
    allowlists: tuple[Allowlist, ...] = ()
    left_out: tuple[LeftOut, ...] = ()


def read_configuration(path: Path, extends: int = _MAX_EXTENDS) -> Configuration:
    """The configuration in a file; PolicyError names file, line, rule and key of what is no such thing."""
    table = _folded(read_toml(path), {"title", "extend", "rules", "allowlist", "allowlists"})
    tables = table.get("rules", [])
    if not isinstance(tables, list) or not all(isinstance(rule, dict) for rule in tables):
        raise PolicyError("is no list of tables; write [[rules]]", file=path, key="rules")
    if not tables and "extend" not in table:
        raise PolicyError("holds no [[rules]]: no gitleaks configuration", file=path)
    left_out = [LeftOut("", key, "unknown key") for key in _unknown(table, {"extend", "rules"})]
    lines = [
        path.read_text("utf-8").count("\n", 0, header.start()) + 1
        for header in _RULE_HEADER.finditer(path.read_text("utf-8"))
    ]
    own: dict[str, Placed] = {}
    for number, rule in enumerate(tables):
        place = f"{path}:{lines[number]}" if number < len(lines) else str(path)
        placed = _rule(rule, number + 1, place, left_out)
        if placed.rule.id in own:
            raise PolicyError("stands twice in the file", file=Path(place), rule=placed.rule.id, key="id")
        own[placed.rule.id] = placed
    everywhere = _allowlists(table, path, None, left_out)
    extend = decode(_known(table.get("extend", {}), Extend, "", left_out), Extend, file=path)
    title = str(table.get("title", ""))
    return _extended(Configuration(title, own, everywhere, tuple(left_out)), extend, path, extends)


def _rule(table: dict[str, Any], number: int, place: str, left_out: list[LeftOut]) -> Placed:
    name = str(table.get("id", f"#{number}"))
    folded = _folded(table, {*_camel(SourceRule), "allowlist"})
    known = _known(
        {key: value for key, value in folded.items() if key != "allowlist"}, SourceRule, name, left_out
    )
    rule = decode(known, SourceRule, file=Path(place), rule=name)
    return Placed(rule, _allowlists(folded, Path(place), name, left_out), place)


def _allowlists(
    table: dict[str, Any], file: Path, rule: str | None, left_out: list[LeftOut]
) -> tuple[Allowlist, ...]:
    tables = [table["allowlist"]] if "allowlist" in table else []
    more = table.get("allowlists", [])
    if not isinstance(more, list) or not all(isinstance(one, dict) for one in (*tables, *more)):
        raise PolicyError("is no table", file=file, rule=rule, key="allowlists")
    return tuple(
        decode(_known(one, Allowlist, rule or "", left_out), Allowlist, file=file, rule=rule)
        for one in (*tables, *more)
    )


def _extended(own: Configuration, extend: Extend, path: Path, extends: int) -> Configuration:
    """What the configuration extends, with its own rules above."""
    left_out = list(own.left_out)
    if extend.use_default:
        why = "gitleaks' own rules are not icapd's to copy; the pack `credentials` looks for the same kinds"
        left_out.append(LeftOut("", "extend.useDefault", why))
    rules: dict[str, Placed] = {}
    allowlists: tuple[Allowlist, ...] = ()
    if extend.path and not extends:
        left_out.append(LeftOut("", "extend.path", f"more than {_MAX_EXTENDS} files extend one another"))
    elif extend.path:
        base = read_configuration(path.parent / extend.path, extends - 1)
        rules = {name: rule for name, rule in base.rules.items() if name not in extend.disabled_rules}
        allowlists = base.allowlists
        left_out += base.left_out
    for name, placed in own.rules.items():
        rules[name] = _merged(rules[name], placed) if name in rules else placed
    return Configuration(own.title, rules, (*allowlists, *own.allowlists), tuple(left_out))


def _merged(base: Placed, above: Placed) -> Placed:
    """A rule that both files have: what the upper one sets counts, and lists are joined."""
    changes = {
        name: getattr(above.rule, name)
        for name in SourceRule.__struct_fields__
        if getattr(above.rule, name) not in ("", 0, 0.0, (), False)
    }
    for name in ("keywords", "tags"):
        changes[name] = (*getattr(base.rule, name), *getattr(above.rule, name))
    rule = msgspec.structs.replace(base.rule, **changes)
    return replace(above, rule=rule, allowlists=(*base.allowlists, *above.allowlists))


def _camel(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    return kind.__struct_encode_fields__


def _folded(table: dict[str, Any], known: set[str]) -> dict[str, Any]:
    """The table with its keys as gitleaks documents them: it reads them in any case."""
    spelled = {key.lower(): key for key in known}
    return {spelled.get(key.lower(), key): value for key, value in table.items()}


def _known(table: object, kind: type[msgspec.Struct], rule: str, left_out: list[LeftOut]) -> object:
    """The table less its unknown keys, which are told."""
    if not isinstance(table, dict):
        return table
    folded = _folded(table, set(_camel(kind)))
    left_out += [LeftOut(rule, key, "unknown key") for key in folded if key not in _camel(kind)]
    return {key: value for key, value in folded.items() if key in _camel(kind)}


def _unknown(table: dict[str, Any], known: set[str]) -> list[str]:
    expected = {*known, "allowlist", "allowlists"}
    return [key for key in table if key not in expected and key.lower() not in _SILENT]
