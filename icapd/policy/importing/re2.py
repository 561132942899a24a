"""Regular expressions of Go (RE2) in the language of the `regex` library.

Source: the syntax page of github.com/google/re2. RE2 has neither looking around nor back-references; what it
has is written otherwise here and there: flags in the middle, `$` for the very end, named sets, `\\Q...\\E`.
"""

import re
from collections.abc import Container, Sequence
from dataclasses import dataclass, field, replace

from icapd.policy.importing.re2_sets import NeedsUnicode, UnsupportedSyntax, escaped, parse_escape, parse_set

__all__ = ["Translation", "UnsupportedSyntax", "translate"]

_QUANTIFIER = re.compile(r"(?:[*+?]|\{(?P<least>\d+)(?P<comma>,(?P<most>\d*))?\})(?P<lazy>\??)")
_FLAGS = re.compile(r"\(\?(?P<on>[imsU]*)(?:-(?P<off>[imsU]+))?(?P<end>[:)])")
_NAMED = re.compile(r"\(\?P?<(?P<name>\w+)>")
#: The flags that `regex` is told; U, which swaps greedy and lazy, is worked in.
_TOLD = "ims"


@dataclass(frozen=True, slots=True)
class Translation:
    """A pattern with its secret named, and the keys of a rule that go with it."""

    pattern: str
    ignore_case: bool
    unicode: bool


@dataclass(frozen=True, slots=True)
class Atom:
    """One item, translated, with what repeats it."""

    text: str
    quantifier: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Alternatives in brackets."""

    branches: "Sequence[Sequence[Atom | Group]]"
    #: As in the source; None where nothing is captured.
    number: int | None = None
    opening: str = "(?:"
    quantifier: str = ""


@dataclass(slots=True)
class Reader:
    """Where in the source the translation stands."""

    source: str
    unicode: bool
    position: int = 0
    groups: int = field(default=0)

    def startswith(self, text: str) -> bool:
        return self.source.startswith(text, self.position)

    @property
    def at_end(self) -> bool:
        return self.position >= len(self.source)


def translate(source: str, *, secret_group: int | None = 0, unicode: bool = False) -> Translation:
    """The pattern in the language of `regex`, its group `secret` where gitleaks takes the secret from.

    That is `secret_group`, else (0) the first group, and the whole match where there is none; None names
    nothing. `unicode`: over characters even where bytes would do. Raises UnsupportedSyntax, which says what
    stands in the way, and where.
    """
    try:
        return _translate(source, secret_group, unicode=unicode or _folds_beyond_ascii(source))
    except NeedsUnicode:
        return _translate(source, secret_group, unicode=True)


def _folds_beyond_ascii(source: str) -> bool:
    """Whether letters outside ASCII may have to match in either case."""
    return "(?i" in source and any(letter.lower() != letter.upper() for letter in source if letter > "\x7f")


def _translate(source: str, secret_group: int | None, *, unicode: bool) -> Translation:
    reader = Reader(source, unicode)
    flags = frozenset[str]()
    while (leading := _FLAGS.match(source, reader.position)) and leading["end"] == ")":
        flags = _changed(flags, leading)
        reader.position = leading.end()
    # The rule's own key says `i`; the others are told where they hold.
    branches = _alternatives(reader, flags, flags & {"i"})
    if not reader.at_end:
        raise UnsupportedSyntax(f"a closing bracket too many at character {reader.position + 1}")
    if (secret_group or 0) > reader.groups:
        raise UnsupportedSyntax(f"it has {reader.groups} groups, so there is no group {secret_group}")
    secrets = {secret_group} if secret_group else set(() if secret_group is None else _first_groups(branches))
    pattern = _rendered(_without_idle_beginning(branches) if secrets else branches, secrets)
    return Translation(pattern, "i" in flags, unicode)


def _alternatives(reader: Reader, flags: frozenset[str], told: frozenset[str]) -> list[list[Atom | Group]]:
    """Up to the closing bracket or the end. `told`: the flags that hold by what stands around."""
    branches: list[list[Atom | Group]] = []
    while True:
        branch, after = _sequence(reader, flags)
        branches.append([_with_flags(branch, flags, told)] if _opening(flags, told) != "(?:" else branch)
        flags = after
        if not reader.startswith("|"):
            return branches
        reader.position += 1


def _sequence(reader: Reader, flags: frozenset[str]) -> tuple[list[Atom | Group], frozenset[str]]:
    """Up to `|`, a closing bracket or the end; second value: the flags there."""
    items: list[Atom | Group] = []
    while not reader.at_end and not reader.startswith("|") and not reader.startswith(")"):
        change = _FLAGS.match(reader.source, reader.position)
        if change is not None and change["end"] == ")":
            reader.position = change.end()
            changed = _changed(flags, change)
            rest, after = _sequence(reader, changed)
            return [*items, _with_flags(rest, changed, flags)], after
        items += _quantified(reader, _item(reader, flags), flags)
    return items, flags


def _item(reader: Reader, flags: frozenset[str]) -> list[Atom | Group]:
    """The next item; several where `\\Q` spells out many."""
    character = reader.source[reader.position]
    if character == "(":
        return [_group(reader, flags)]
    if character == "[":
        text, reader.position = parse_set(reader.source, reader.position, unicode=reader.unicode)
        return [Atom(text)]
    if reader.startswith(r"\Q"):
        end = reader.source.find(r"\E", reader.position)
        literal = reader.source[reader.position + 2 : end if end >= 0 else len(reader.source)]
        reader.position = end + 2 if end >= 0 else len(reader.source)
        return [Atom(escaped(ord(letter), unicode=reader.unicode)) for letter in literal]
    if character == "\\":
        text, reader.position = parse_escape(reader.source, reader.position, unicode=reader.unicode)
        return [Atom(text)]
    if character in "*+?":
        raise UnsupportedSyntax(f"nothing to repeat at character {reader.position + 1}")
    reader.position += 1
    if character == "^":
        return [Atom("^" if "m" in flags else r"\A")]
    if character == "$":
        return [Atom("$" if "m" in flags else r"\Z")]
    if character == ".":
        return [Atom(".")]
    return [Atom(escaped(ord(character), unicode=reader.unicode))]


def _group(reader: Reader, flags: frozenset[str]) -> Group:
    begin, number, inner = reader.position, None, flags
    change = _FLAGS.match(reader.source, begin)
    named = _NAMED.match(reader.source, begin)
    if change is not None:
        inner, reader.position = _changed(flags, change), change.end()
    elif named is not None or not reader.startswith("(?"):
        reader.groups += 1
        number, reader.position = reader.groups, named.end() if named else begin + 1
    else:
        raise UnsupportedSyntax(f"{reader.source[begin : begin + 4]!r} at character {begin + 1} is not RE2")
    group = Group(_alternatives(reader, inner, inner), number, _opening(inner, flags))
    if reader.at_end:
        raise UnsupportedSyntax(f"the bracket at character {begin + 1} is not closed")
    reader.position += 1
    return group


def _quantified(reader: Reader, items: list[Atom | Group], flags: frozenset[str]) -> list[Atom | Group]:
    quantifier = _QUANTIFIER.match(reader.source, reader.position)
    if quantifier is None or not items:
        return items
    reader.position = quantifier.end()
    if _QUANTIFIER.match(reader.source, reader.position):
        raise UnsupportedSyntax(f"a repeat of a repeat at character {reader.position + 1}")
    least, most = int(quantifier["least"] or 0), int(quantifier["most"] or quantifier["least"] or 0)
    # RE2's own limit.
    if max(least, most) > 1000 or (quantifier["most"] and most < least):
        raise UnsupportedSyntax(f"repeat {quantifier[0]} is out of order or above 1000")
    lazy = bool(quantifier["lazy"]) != ("U" in flags)
    repeated = quantifier[0].removesuffix("?") if quantifier["lazy"] else quantifier[0]
    return [*items[:-1], replace(items[-1], quantifier=repeated + ("?" if lazy else ""))]


def _changed(flags: frozenset[str], change: re.Match[str]) -> frozenset[str]:
    return (flags | frozenset(change["on"])) - frozenset(change["off"] or "")


def _opening(flags: frozenset[str], around: frozenset[str]) -> str:
    on = "".join(flag for flag in _TOLD if flag in flags - around)
    off = "".join(flag for flag in _TOLD if flag in around - flags)
    return f"(?{on}-{off}:" if off else f"(?{on}:"


def _with_flags(items: Sequence[Atom | Group], flags: frozenset[str], around: frozenset[str]) -> Group:
    return Group([items], opening=_opening(flags, around))


def _first_groups(branches: Sequence[Sequence[Atom | Group]]) -> list[int]:
    """The group that takes part first, in each alternative."""
    found = []
    for branch in branches:
        for item in branch:
            inner = [] if isinstance(item, Atom) else _own_groups(item)
            if inner:
                found += inner
                break
    return found


def _own_groups(group: Group) -> list[int]:
    return _first_groups(group.branches) if group.number is None else [group.number]


def _without_idle_beginning(branches: Sequence[Sequence[Atom | Group]]) -> Sequence[Sequence[Atom | Group]]:
    """Less a lazy repeat that may match nothing at the very beginning: it only makes a search slow."""
    first = branches[0][0] if len(branches) == 1 and branches[0] else None
    if isinstance(first, Atom) and re.fullmatch(r"\*\?|\?\?|\{0,\d*\}\?", first.quantifier):
        return [branches[0][1:]]
    return branches


def _rendered(branches: Sequence[Sequence[Atom | Group]], secrets: Container[int | None]) -> str:
    return "|".join("".join(_text(item, secrets) for item in branch) for branch in branches)


def _text(item: Atom | Group, secrets: Container[int | None]) -> str:
    if isinstance(item, Atom):
        # Several bytes of one character are repeated together.
        several = item.quantifier and item.text.startswith("\\x") and len(item.text) > len(r"\xNN")
        return (f"(?:{item.text})" if several else item.text) + item.quantifier
    opening = "(?P<secret>" if item.number in secrets else item.opening
    return f"{opening}{_rendered(item.branches, secrets)}){item.quantifier}"
