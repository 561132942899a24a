"""Texts drawn from a grammar: named lists of alternatives, in which «name» stands for one of that list."""

import random
import re
import tomllib
from pathlib import Path

GRAMMARS = Path(__file__).with_name("attack_grammars")
_REFERENCE = re.compile("«(.+?)»")
#: How deep alternatives may stand in each other; behind that, a digit takes their place.
_MAX_DEPTH = 12
#: What may stand for a blank in SQL.
_SQL_BLANKS = ("/**/", "\t", "\n", "+", "  ", "%0a", "/*x*/", "%20", " /*!*/ ", "\x0b", "%09")
#: What share of texts is spelled in mixed case, and with other blanks.
_MIXED_CASE, _OTHER_BLANKS = 0.3, 0.35

Grammar = dict[str, list[str]]


def texts(language: str, start: str, count: int, seed: str) -> list[str]:
    """As many different texts as there are, up to `count`, in the order in which they were drawn."""
    tables = tomllib.loads((GRAMMARS / f"{language}.toml").read_text("utf-8"))
    obfuscation = tables.pop("obfuscation")
    chance = random.Random(f"{seed} {language} {start}")
    drawn = (
        _obfuscated(obfuscation, _expanded(tables, f"«{start}»", chance), chance) for _ in range(count * 4)
    )
    return list(dict.fromkeys(drawn))[:count]


def _expanded(grammar: Grammar, text: str, chance: random.Random, depth: int = 0) -> str:
    if depth > _MAX_DEPTH:
        return "1"
    return _REFERENCE.sub(
        lambda name: _expanded(grammar, chance.choice(grammar[name[1]]), chance, depth + 1), text
    )


def _obfuscated(kind: str, text: str, chance: random.Random) -> str:
    if kind in ("sql", "html") and chance.random() < _MIXED_CASE:
        text = "".join(chance.choice((letter.lower(), letter.upper())) for letter in text)
    if kind == "sql" and chance.random() < _OTHER_BLANKS:
        # The blank behind two dashes makes them a comment.
        head, dashes, tail = text.partition("-- ")
        text = head.replace(" ", chance.choice(_SQL_BLANKS)) + dashes + tail
    return text
