"""Sets, classes and escapes of RE2 in the language of the `regex` library."""

import re
from collections.abc import Iterable

#: Go's regexp/syntax, "ASCII character classes".
_NAMED_SETS = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "ascii": r"\x00-\x7f",
    "blank": r"\t ",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": r"\x21-\x7e",
    "lower": "a-z",
    "print": r"\x20-\x7e",
    "punct": r"\x21-\x2f\x3a-\x40\x5b-\x60\x7b-\x7e",
    "space": r"\t\n\v\f\r ",
    "upper": "A-Z",
    "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}
_NAMED_SET = re.compile(r"\[:(?P<negated>\^?)(?P<name>[a-z]+):\]")
_PROPERTY = re.compile(r"\\(?P<kind>[pP])(?:(?P<short>[A-Z])|\{(?P<negated>\^?)(?P<name>\w+)\})")
_CODE_POINT = re.compile(
    r"\\(?:x(?P<two>[0-9A-Fa-f]{2})|x\{(?P<many>[0-9A-Fa-f]{1,6})\}|(?P<octal>0[0-7]{0,2}|[1-7][0-7]{1,2}))"
)
_CONTROLS = {"a": 7, "f": 12, "t": 9, "n": 10, "r": 13, "v": 11}
# Classes and boundaries of RE2 are those of ASCII, whatever is matched; those of `regex` are, over bytes.
_PERL = {"d": "digit", "s": "space", "w": "word"}
_WORD = "[0-9A-Za-z_]"
_BOUNDARY = f"(?:(?<={_WORD})(?!{_WORD})|(?<!{_WORD})(?={_WORD}))"
_NO_BOUNDARY = f"(?:(?<={_WORD})(?={_WORD})|(?<!{_WORD})(?!{_WORD}))"
#: Outside sets only: boundaries, and the ends of the text. Over bytes, and over characters.
_ANCHORS = {
    "b": (r"\b", _BOUNDARY),
    "B": (r"\B", _NO_BOUNDARY),
    "A": (r"\A", r"\A"),
    "z": (r"\Z", r"\Z"),
}


class UnsupportedSyntax(ValueError):
    """What in a pattern can't be carried over."""


class NeedsUnicode(Exception):
    """The pattern speaks of characters outside ASCII in a way that bytes can't follow."""


def escaped(code_point: int, *, unicode: bool) -> str:
    """One character that stands for itself; over bytes, the bytes of its UTF-8."""
    character = chr(code_point)
    if character.isascii() and (character.isalnum() or character in " !\"#%&',-/:;<=>@_`~"):
        return character
    if code_point < 0x80:
        return f"\\{character}" if character.isprintable() else f"\\x{code_point:02x}"
    if not unicode:
        return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogatepass"))
    return _in_set(code_point)


def parse_escape(source: str, position: int, *, unicode: bool) -> tuple[str, int]:
    """The escape at a backslash, translated, and where it ends."""
    letter = source[position + 1 : position + 2]
    if letter in _ANCHORS:
        return _ANCHORS[letter][unicode], position + 2
    if letter.lower() in _PERL:
        members = f"[{'^' if letter.isupper() else ''}{_NAMED_SETS[_PERL[letter.lower()]]}]"
        return members if unicode else f"\\{letter}", position + 2
    found = _PROPERTY.match(source, position)
    if found is not None:
        return _property(found, unicode=unicode), found.end()
    code_point, end = _literal(source, position)
    return escaped(code_point, unicode=unicode), end


def parse_set(source: str, position: int, *, unicode: bool) -> tuple[str, int]:
    """The set at an opening bracket, translated, and where it ends."""
    begin, position = position, position + 1
    negated = source.startswith("^", position)
    position += negated
    parts: list[str] = []
    first = True
    while first or not source.startswith("]", position):
        first = False
        if position >= len(source):
            raise UnsupportedSyntax(f"the set at character {begin + 1} is not closed")
        part, position = _member(source, position, unicode=unicode)
        parts.append(part)
    return f"[{'^' if negated else ''}{''.join(parts)}]", position + 1


def _member(source: str, position: int, *, unicode: bool) -> tuple[str, int]:
    """One member of a set: a class, a character or a range."""
    named = _NAMED_SET.match(source, position)
    if named is not None:
        if named["name"] not in _NAMED_SETS:
            raise UnsupportedSyntax(f"there is no class {named[0]}")
        members = _NAMED_SETS[named["name"]]
        return _complement(members, unicode=unicode) if named["negated"] else members, named.end()
    if source.startswith("\\", position):
        letter = source[position + 1 : position + 2]
        if letter.lower() in _PERL:
            members = _NAMED_SETS[_PERL[letter.lower()]]
            members = _complement(members, unicode=True) if letter.isupper() else members
            return members if unicode else f"\\{letter}", position + 2
        found = _PROPERTY.match(source, position)
        if found is not None:
            return _property(found, unicode=unicode), found.end()
    low, position = _character(source, position)
    high = low
    if source.startswith("-", position) and source[position + 1 : position + 2] not in ("]", ""):
        high, position = _character(source, position + 1)
    if high < low:
        raise UnsupportedSyntax(f"range {chr(low)}-{chr(high)} is out of order")
    if high >= 0x80 and not unicode:
        raise NeedsUnicode
    return (_in_set(low) if low == high else f"{_in_set(low)}-{_in_set(high)}"), position


def _complement(members: str, *, unicode: bool) -> str:
    """The members of a named set's opposite."""
    pattern = re.compile(f"[{members}]")
    outside = [code for code in range(0x80) if not pattern.match(chr(code))]
    above = r"\x80-\U0010ffff" if unicode else r"\x80-\xff"
    return "".join(f"{_in_set(low)}-{_in_set(high)}" for low, high in _ranges(outside)) + above


def _ranges(codes: Iterable[int]) -> list[tuple[int, int]]:
    ranges: list[tuple[int, int]] = []
    for code in codes:
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1] = (ranges[-1][0], code)
        else:
            ranges.append((code, code))
    return ranges


def _character(source: str, position: int) -> tuple[int, int]:
    if source.startswith("\\", position):
        return _literal(source, position)
    if position >= len(source):
        raise UnsupportedSyntax("it ends within a set")
    return ord(source[position]), position + 1


def _literal(source: str, position: int) -> tuple[int, int]:
    """The code point that an escape stands for, and where it ends."""
    found = _CODE_POINT.match(source, position)
    if found is not None:
        digits, base = (found["octal"], 8) if found["octal"] else (found["two"] or found["many"], 16)
        code_point = int(digits, base)
        if code_point > 0x10FFFF:
            raise UnsupportedSyntax(f"{found[0]} is above the last character")
        return code_point, found.end()
    letter = source[position + 1 : position + 2]
    if letter in _CONTROLS:
        return _CONTROLS[letter], position + 2
    if letter and letter.isascii() and not letter.isalnum():
        return ord(letter), position + 2
    shown = source[position : position + 2]
    raise UnsupportedSyntax(f"{shown!r} at character {position + 1} can't be carried over")


def _property(found: re.Match[str], *, unicode: bool) -> str:
    if not unicode:
        raise NeedsUnicode
    name = found["short"] or found["name"]
    if name == "Any":
        name = "any"
    negated = (found["kind"] == "P") != bool(found["negated"])
    return f"\\{'P' if negated else 'p'}{{{name}}}"


def _in_set(code_point: int) -> str:
    """A character of a set, so that nothing of it reads as syntax."""
    character = chr(code_point)
    if character.isascii() and (character.isalnum() or character in " \"'_,;:/=<>@!%`."):
        return character
    if 0x20 < code_point < 0x7F:
        return f"\\{character}"
    if code_point <= 0xFF:
        return f"\\x{code_point:02x}"
    return f"\\u{code_point:04x}" if code_point <= 0xFFFF else f"\\U{code_point:08x}"
