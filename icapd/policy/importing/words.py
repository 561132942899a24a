"""Lists of words, one a line or in a table (CSV), as rules that each look for many of them.

A word is found whole, in any case. Words of the same action, severity and description share rules, whose
patterns are trees of letters: a search does not grow with their number.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args

import msgspec

from icapd.errors import PolicyError
from icapd.policy.faults import RuleFault, suggest
from icapd.policy.importing.finishing import finish
from icapd.policy.importing.outcome import Imported, LeftOut
from icapd.policy.importing.re2_sets import escaped
from icapd.policy.matching import reach
from icapd.policy.rule import ActionName, Rule, Severity

#: Words of one rule that are found by keywords, and of one whose pattern Hyperscan has to read.
_WITH_KEYWORDS, _WITHOUT = 500, 100
#: Letters of a keyword from which on it is rare enough to be looked for; shorter ones are parts of others.
_MIN_KEYWORD = 5
#: Characters of a word or phrase.
_MAX_WORD = 200
#: Words of a rule that stand in it as examples, and characters of a description that its id takes up.
_EXAMPLES, _MAX_SLUG = 3, 40
_CHOICES = {"action": get_args(ActionName), "severity": get_args(Severity)}
_COLUMNS = ("word", *_CHOICES, "description")
_DELIMITERS = ",;\t"
_BLANK = r"\s{1,8}"
# A letter outside ASCII goes on with a word; Latin-1's punctuation (C2) and U+2000 to U+206F (E2 80, E2 81)
# do not.
_BEGIN = r"(?<!\w)(?<![\xc3-\xe1\xe3-\xff][\x80-\xbf]{1,3})(?<!\xe2[\x82-\xbf][\x80-\xbf])"
_END = r"(?!\w|[\xc3-\xe1\xe3-\xff]|\xe2[\x82-\xbf])"
# A flag that changes nothing, but that only `regex` knows: Hyperscan would take a second to compile such a
# tree, and finds its keywords as fast.
_REGEX_ALONE = "(?V0)"
_ASCII_PIECE = re.compile(r"[!-~]+")
_NOT_IN_AN_ID = re.compile(r"[^a-z0-9]+")


class Kind(msgspec.Struct, frozen=True):
    """What words must share to share a rule."""

    action: ActionName
    severity: Severity
    description: str


class Word(NamedTuple):
    """A word, its blanks single, and where it stands."""

    text: str
    kind: Kind
    line: int


def import_words(path: Path, pack: str, *, table: bool) -> Imported:
    """The list's rules; PolicyError names file and line of what is no list of words."""
    left_out: list[LeftOut] = []
    text = _read(path)
    default = Kind("log", "medium", f"Word of the list {path.stem}")
    words = _of_table(text, path, default, left_out) if table else _of_lines(text, default)
    by_kind: dict[Kind, list[Word]] = {}
    for word in _usable(words, left_out):
        by_kind.setdefault(word.kind, []).append(word)
    rules: list[Rule] = []
    for kind, members in by_kind.items():
        slug = "" if kind.description == default.description else kind.description.lower()
        slug = _NOT_IN_AN_ID.sub("-", slug).strip("-")[:_MAX_SLUG].strip("-") or "words"
        for rule in _rules(members, f"{pack}.{slug}", {rule.id for rule in rules}):
            try:
                rules.append(finish(rule, pack)[0])
            except RuleFault as fault:
                left_out.append(LeftOut(rule.id, fault.key, fault.problem, whole_rule=True))
    return Imported(f"Words of {path.name}", tuple(rules), tuple(left_out), ())


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise PolicyError(f"can't be read: {error.strerror}", file=path) from None
    except UnicodeDecodeError as error:
        raise PolicyError(f"is not UTF-8 (byte {error.start}); save it as UTF-8", file=path) from None


def _of_lines(text: str, kind: Kind) -> Iterator[Word]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            yield Word(line, kind, number)


def _of_table(text: str, path: Path, default: Kind, left_out: list[LeftOut]) -> Iterator[Word]:
    first = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=first.count)
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    columns = [column.strip().lower() for column in rows.fieldnames or ()]
    if "word" not in columns:
        hint = suggest("word", columns)
        raise PolicyError(f'the first line has no column "word"{hint}', file=Path(f"{path}:1"))
    rows.fieldnames = columns
    left_out += [LeftOut("", column, "unknown column") for column in columns if column not in _COLUMNS]
    try:
        for row in rows:
            yield Word(row["word"] or "", _kind(row, default, f"{path}:{rows.line_num}"), rows.line_num)
    except csv.Error as error:
        raise PolicyError(f"is no CSV: {error}", file=Path(f"{path}:{rows.line_num}")) from None


def _kind(row: dict[str | Any, str | Any], default: Kind, place: str) -> Kind:
    given = {key: (row.get(key) or "").strip() for key in ("description", *_CHOICES)}
    for key, choices in _CHOICES.items():
        given[key] = given[key].lower()
        if given[key] and given[key] not in choices:
            raise PolicyError(f'unknown {key} "{given[key]}"{suggest(given[key], choices)}', file=Path(place))
    return msgspec.convert(
        {**msgspec.structs.asdict(default), **{key: value for key, value in given.items() if value}}, Kind
    )


def _usable(words: Iterable[Word], left_out: list[LeftOut]) -> Iterator[Word]:
    """The words that can be looked for, each once."""
    lines: dict[str, int] = {}
    for word in words:
        text = " ".join(word.text.split())
        folded, key = text.lower(), f"line {word.line}"
        if folded in lines:
            left_out.append(LeftOut("", key, f"the same word as on line {lines[folded]}"))
        elif not any(character.isalnum() for character in text) or not text.isprintable():
            left_out.append(LeftOut("", key, "no letter or digit, or a control character, in the word"))
        elif len(text) > _MAX_WORD:
            left_out.append(LeftOut("", key, f"longer than {_MAX_WORD} characters"))
        else:
            lines[folded] = word.line
            yield word._replace(text=text)


def _rules(words: Sequence[Word], name: str, taken: set[str]) -> Iterator[Rule]:
    """The rules for words of one kind, not yet finished."""
    keywords = {word: _keyword(word.text) for word in words}
    rare = [word for word in words if len(keywords[word]) >= _MIN_KEYWORD]
    bare = [word for word in words if len(keywords[word]) < _MIN_KEYWORD]
    number = 0
    for members, size in ((rare, _WITH_KEYWORDS), (bare, _WITHOUT)):
        for begin in range(0, len(members), size):
            some = members[begin : begin + size]
            number += 1
            while (rule_id := name if number == 1 else f"{name}-{number}") in taken:
                number += 1
            rule = Rule(
                id=rule_id,
                description=some[0].kind.description,
                targets=("body", "url"),
                pattern=f"{_BEGIN}{_tree([_items(word.text) for word in some])}{_END}",
                ignore_case=True,
                action=some[0].kind.action,
                severity=some[0].kind.severity,
                tags=("words",),
                match=tuple(word.text for word in some[:_EXAMPLES]),
            )
            words_of_rule = tuple(dict.fromkeys(keywords[word] for word in some))
            yield _by_keywords(rule, words_of_rule) if members is rare else rule


def _by_keywords(rule: Rule, keywords: tuple[str, ...]) -> Rule:
    """The rule, looked for by its keywords alone."""
    return msgspec.structs.replace(
        rule, pattern=f"{_REGEX_ALONE}{rule.pattern}", keywords=keywords, max_length=reach(rule)
    )


def _keyword(word: str) -> str:
    """The longest piece of a word in ASCII, between blanks; "" when there is none."""
    return max((piece.lower() for piece in _ASCII_PIECE.findall(word)), key=len, default="")


def _items(word: str) -> list[str]:
    """The word's characters as patterns: of letters outside ASCII both cases, blanks of any kind."""
    return [_BLANK if character == " " else _either_case(character) for character in word.lower()]


def _either_case(character: str) -> str:
    if character.isascii():
        return escaped(ord(character), unicode=False)
    cases = dict.fromkeys(case for case in (character, character.upper()) if len(case) == 1)
    spelled = [escaped(ord(case), unicode=False) for case in cases]
    return spelled[0] if len(spelled) == 1 else f"(?:{'|'.join(spelled)})"


def _tree(words: Iterable[Sequence[str]]) -> str:
    """A pattern for any of the words, longer ones first, in which every beginning stands once."""
    tree: dict[str, Any] = {}
    for word in words:
        node = tree
        for item in word:
            node = node.setdefault(item, {})
        node[""] = {}
    return _spelled(tree)


def _spelled(node: dict[str, Any]) -> str:
    branches = [item + _spelled(inner) for item, inner in node.items() if item]
    if not branches:
        return ""
    if len(branches) == 1 and "" not in node:
        return branches[0]
    return f"(?:{'|'.join(branches)}){'?' if '' in node else ''}"
