"""Rules as the text of a pack (TOML)."""

import json
from collections.abc import Iterable, Iterator

import msgspec
import regex

from icapd.policy.rule import Rule

#: Characters of a line on which a list still stands whole.
_LINE = 100
_LITERAL = regex.compile(r"[^\x00-\x1f\x7f'][^\x00-\x1f\x7f']*+")


def pack_text(rules: Iterable[Rule], description: str, head: Iterable[str] = ()) -> str:
    """The pack, `head` above it as comments."""
    comments = "".join(f"# {line}\n" for line in head)
    tables = "".join(f"\n[[rule]]\n{''.join(_lines(rule))}" for rule in rules)
    return f"{comments}\n[pack]\ndescription = {_string(description)}\n{tables}"


def _lines(rule: Rule) -> Iterator[str]:
    defaults = {field.name: field.default for field in msgspec.structs.fields(rule)}
    for key, value in msgspec.structs.asdict(rule).items():
        if value != defaults[key]:
            yield f"{key} = {_value(value)}\n"


def _value(value: object) -> str:
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, tuple):
        items = [_value(item) for item in value]
        line = f"[{', '.join(items)}]"
        return line if len(line) <= _LINE else "[\n" + "".join(f"    {item},\n" for item in items) + "]"
    return json.dumps(value)


def _string(text: str) -> str:
    """As it is where TOML allows that, so that patterns need no escaping; else with escapes."""
    if "\\" in text or '"' in text:
        if _LITERAL.fullmatch(text):
            return f"'{text}'"
        # A literal string can't end in, or hold three of, its own quotes.
        if text.isprintable() and "'''" not in text and not text.endswith("'"):
            return f"'''{text}'''"
    return json.dumps(text, ensure_ascii=False).replace("\x7f", r"\u007f")
