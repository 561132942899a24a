"""The ways in which a format spells bytes by others: JSON escapes, percent-encoding, character references."""

import html
import json
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache

from icapd.inspection import whole_json
from icapd.inspection.one_of import OneOf

# Distinct escapes remembered with their meaning; a text uses a few dozen, over and over.
_REMEMBERED_ESCAPES = 4096


def _no_short_way(text: bytes) -> bytes | None:
    return None


@dataclass(frozen=True, slots=True, eq=False)
class Escapes:
    """One kind of escapes."""

    #: With one group, around the whole.
    pattern: re.Pattern[bytes]
    #: What one escape stands for; in a stream at least one byte.
    decode: Callable[[bytes], bytes]
    #: Every escape holds one of these bytes: a text without them has no escapes.
    markers: tuple[bytes, ...]
    #: Bytes of the longest escape.
    max_length: int
    #: All of them in a text at once, where there is a short way that gives the same; else None.
    decode_whole: Callable[[bytes], bytes | None] = _no_short_way
    #: Whether a whole text has such as may hide something. None: as soon as it has any.
    matter_in: Callable[[bytes], bool] | None = None

    def occur_in(self, text: bytes) -> bool:
        """False when the text surely has no escape."""
        for marker in self.markers:  # noqa: SIM110 (asked of every single value: three times as fast)
            if marker in text:
                return True
        return False

    def split(self, text: bytes) -> list[bytes]:
        """The text in parts, in turn literal and escape; the first and the last one are literal."""
        return self.pattern.split(text) if self.occur_in(text) else [text]

    def decode_parts(self, parts: list[bytes]) -> list[bytes]:
        """Such parts with every escape decoded."""
        decoded = parts.copy()
        decoded[1::2] = map(self.decode, parts[1::2])
        return decoded


@lru_cache(_REMEMBERED_ESCAPES)
def _decode_json_escape(escape: bytes) -> bytes:
    decoded: str = json.loads(b'"%s"' % escape)
    # RFC 8259 section 8.2: a lone surrogate may be escaped; it keeps its place as three bytes.
    return decoded.encode("utf-8", "surrogatepass")


@lru_cache(_REMEMBERED_ESCAPES)
def _decode_percent(escape: bytes) -> bytes:
    if escape[1:2] in {b"u", b"U"}:
        return decode_code_units(escape.lower().split(b"%u")[1:])
    return b" " if escape == b"+" else bytes.fromhex(escape[1:].decode("ascii"))


def decode_code_units(units: Iterable[bytes]) -> bytes:
    """UTF-16 in hexadecimal, as UTF-8; half a surrogate pair keeps its place as three bytes."""
    raw = bytes.fromhex(b"".join(units).decode("ascii"))
    return raw.decode("utf-16-be", "surrogatepass").encode("utf-8", "surrogatepass")


def _decode_quoted_printable(escape: bytes) -> bytes:
    return b"" if escape.endswith(b"\n") else bytes.fromhex(escape[1:].decode("ascii"))


@lru_cache(_REMEMBERED_ESCAPES)
def _decode_character_reference(reference: bytes) -> bytes:
    decoded = html.unescape(reference.decode("ascii"))
    # A reference to a code point that is no character stands for nothing; it is left as it is.
    return decoded.encode("utf-8", "surrogatepass") or reference


_SIMPLE_SCRIPT_ESCAPES = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
# Characters of ASCII that need no escape, blanks aside: who writes them so may have a reason.
_VISIBLE = rb"(?:2[1-9A-Fa-f]|[3-6][0-9A-Fa-f]|7[0-9A-Ea-e])"
_SCRIPT_DISGUISE = OneOf(
    rb"\\x" + _VISIBLE,
    rb"\\u00" + _VISIBLE,
    rb"\\u\{0*" + _VISIBLE + rb"\}",
    rb"\\(?:0[4-7][0-7]|1[0-7]{2}|[4-7][0-7])",
)
# The same of any kind, and full-width characters in percent-encoding.
_ANY_DISGUISE = OneOf(
    rb"%[0-7][0-9A-Fa-f]",
    rb"%[eE][fF]",
    rb"%[uU][0-9A-Fa-f]{4}",
    rb"&#[0-9xX]",
    rb"&[A-Za-z][A-Za-z0-9]+;",
    rb"\\[xu][0-9A-Fa-f{]",
    rb"\\[0-7]{2}",
    rb"\x00",
)


@lru_cache(_REMEMBERED_ESCAPES)
def _decode_script(escape: bytes) -> bytes:
    kind, rest = escape[1:2], escape[2:]
    if kind == b"u" and rest.startswith(b"{"):
        number = int(rest[1:-1], 16)
        return chr(number).encode("utf-8", "surrogatepass") if number <= sys.maxunicode else escape
    if kind == b"u":
        return decode_code_units(escape.split(b"\\u")[1:])
    if kind == b"x":
        # A code unit, and so a character; a lone byte would be none in UTF-8.
        return chr(int(rest, 16)).encode()
    if kind.isdigit():
        return chr(int(escape[1:], 8)).encode()
    return _SIMPLE_SCRIPT_ESCAPES.get(kind, kind)


@lru_cache(_REMEMBERED_ESCAPES)
def _decode_any(escape: bytes) -> bytes:
    kind = escape[:1]
    if kind == b"%":
        return _decode_percent(escape)
    if kind == b"&":
        return _decode_character_reference(escape)
    if kind == b"\x00":
        return b""
    if escape.startswith(rb"\00"):
        number = int(escape[1:], 16)
        return chr(number).encode("utf-8", "surrogatepass") if number else b""
    return _decode_script(escape)


# RFC 8259 section 7. A surrogate pair is one escape: half of it means nothing.
JSON = Escapes(
    re.compile(
        rb"(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
        rb'|\\u[0-9a-fA-F]{4}|\\["\\/bfnrt])'
    ),
    _decode_json_escape,
    markers=(b"\\",),
    max_length=12,
    decode_whole=whole_json.decode_whole,
)
_PERCENT = (
    rb"(?:[0-9A-Fa-f]{2}|[uU][dD][89abAB][0-9A-Fa-f]{2}%[uU][dD][c-fC-F][0-9A-Fa-f]{2}|[uU][0-9A-Fa-f]{4})"
)
# RFC 3986 section 2.1, and %uXXXX: JavaScript's escape() writes it (ECMA-262 annex B.2.1.1), IIS reads it.
PERCENT = Escapes(re.compile(rb"(%" + _PERCENT + rb")"), _decode_percent, markers=(b"%",), max_length=12)
# WHATWG URL section 5.1: application/x-www-form-urlencoded.
FORM = Escapes(
    re.compile(rb"([%+](?:(?<=\+)|(?<=%)" + _PERCENT + rb"))"),
    _decode_percent,
    markers=(b"%", b"+"),
    max_length=12,
)
# WHATWG HTML section 13.5: the longest name has 31 characters. Numbers may have any zeros in front, and
# browsers do without their semicolon (section 13.2.5.80).
_REFERENCE = rb"(?:#0{0,32}[0-9]{1,7};?|#[xX]0{0,32}[0-9A-Fa-f]{1,6};?|[A-Za-z][A-Za-z0-9]{1,30}+;)"
CHARACTER_REFERENCES = Escapes(
    re.compile(rb"(&" + _REFERENCE + rb")"), _decode_character_reference, markers=(b"&",), max_length=43
)
# ECMA-262 section 12.9.4 and annex B.1.2 (octal); a line that ends in a backslash goes on in the next.
_SCRIPT = (
    rb"(?:x[0-9A-Fa-f]{2}|u[dD][89abAB][0-9A-Fa-f]{2}\\u[dD][c-fC-F][0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}"
    rb"|u\{0{0,32}[0-9A-Fa-f]{1,6}\}|[0-3][0-7]{2}|[4-7][0-7]|[\"'`\\/bfnrtv])"
)
SCRIPT = Escapes(
    re.compile(rb"(\\" + _SCRIPT + rb")"),
    _decode_script,
    markers=(b"\\",),
    max_length=42,
    matter_in=_SCRIPT_DISGUISE.occur_in,
)
# CSS Syntax section 4.3.7, with as many zeros in front that it is nothing else.
_STYLE = rb"00[0-9A-Fa-f]{2,4}[ \t\n]?"
# Any of them, for values that may be read once more, who knows by what. To begin with a set of bytes makes
# the search ten times as fast as with alternatives.
_ANY = rb"[%%&\\\x00](?:(?<=%%)%b|(?<=&)%b|(?<=\\)(?:%b|%b)|(?<=\x00))" % (
    _PERCENT,
    _REFERENCE,
    _STYLE,
    _SCRIPT,
)
ANY = Escapes(
    re.compile(rb"(" + _ANY + rb")"),
    _decode_any,
    markers=(b"%", b"&", b"\\", b"\x00"),
    max_length=43,
    matter_in=_ANY_DISGUISE.occur_in,
)
# RFC 2045 section 6.7: a line that ends in an equals sign goes on in the next.
QUOTED_PRINTABLE = Escapes(
    re.compile(rb"(=(?:[0-9A-Fa-f]{2}|[ \t]{0,76}\r?\n))"),
    _decode_quoted_printable,
    markers=(b"=",),
    max_length=79,
)
#: A text that spells every byte by itself.
NONE = Escapes(re.compile(rb"((?!))"), bytes, markers=(), max_length=1)
