"""Characters that look like others, or like nothing: what a word reads like, in ASCII."""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from icapd.inspection.escapes import Escapes
from icapd.inspection.one_of import OneOf

# Letters of Cyrillic and Greek, each with the letter of ASCII that it can't be told from by sight.
_LOOK_ALIKES = dict(
    zip(
        "АВЕЅІЈКМНОРСТУХЗаеѕіјкорсухһԁԛԝԍΑΒΕΖΗΙΚΜΝΟΡΤΥΧανιορκυϲ",
        "ABESIJKMHOPCTYX3aesijkopcyxhdqwgABEZHIKMNOPTYXaviopkuc",
        strict=True,
    )
)
# Zero-width space and (non-)joiners, marks of direction, word joiner, byte order mark, soft hyphen.
_INVISIBLE = rb"(?:\xe2\x80[\x8b-\x8f]|\xe2\x81[\xa0-\xa4]|\xef\xbb\xbf|\xc2\xad)"
# U+1D400 to U+1D7FF: letters and digits in the styles of mathematics.
_MATHEMATICAL = rb"\xf0\x9d[\x90-\x9f][\x80-\xbf]"


def _alternatives(characters: Iterable[str]) -> bytes:
    """A pattern for characters of two bytes."""
    seconds: dict[bytes, bytes] = {}
    for character in sorted(characters):
        encoded = character.encode()
        seconds[encoded[:1]] = seconds.get(encoded[:1], b"") + encoded[1:]
    return b"(?:%b)" % b"|".join(first + b"[%b]" % rest for first, rest in seconds.items())


_LOOK_ALIKE = _alternatives(_LOOK_ALIKES)
_LEADS_OF_LOOK_ALIKES = tuple({character.encode()[:1] for character in _LOOK_ALIKES})
# The same behind their first byte: to begin with a set of bytes makes the search ten times as fast as with
# alternatives.
_LEAD = rb"[\xc2\xcd-\xd4\xe2\xef\xf0]"
_REST_OF_INVISIBLE = rb"(?:(?<=\xe2)(?:\x80[\x8b-\x8f]|\x81[\xa0-\xa4])|(?<=\xef)\xbb\xbf|(?<=\xc2)\xad)"
# U+FF01 to U+FF5E are ASCII for the width of East Asian text.
_REST_OF_WIDE = rb"(?<=\xef)(?:\xbc[\x81-\xbf]|\xbd[\x80-\x9e])|(?<=\xf0)\x9d[\x90-\x9f][\x80-\xbf]"
_REST_OF_LOOK_ALIKE = re.sub(rb"([\xcd-\xd4])\[", rb"(?<=\1)[", _LOOK_ALIKE)
# Only words that mix scripts: a letter of ASCII on one side, no letter of the same script on the other.
_REST_OF_MIXED = rb"(?<=[A-Za-z].)%b%b*+(?![\xcd-\xd4])|(?<![\xcd-\xd4][\x80-\xbf].)%b%b*+(?=[A-Za-z])" % (
    (_REST_OF_LOOK_ALIKE, _LOOK_ALIKE) * 2
)
_REST = b"(?:%b%b*+|%b|%b)" % (_REST_OF_INVISIBLE, _INVISIBLE, _REST_OF_WIDE, _REST_OF_MIXED)


def _characters(prefix: bytes, *last: int) -> list[bytes]:
    return [prefix + bytes([byte]) for byte in last]


_INVISIBLE_ONES = (
    *(b"\xc2\xad", b"\xef\xbb\xbf"),
    *_characters(b"\xe2\x80", *range(0x8B, 0x90)),
    *_characters(b"\xe2\x81", *range(0xA0, 0xA5)),
)
# Of full width letters, digits and what HTML and SQL are made of: other punctuation is everyday in Chinese.
_WIDE_ONES = (
    *_characters(b"\xef\xbc", 0x82, 0x87, *range(0x90, 0x9A), 0x9C, *range(0xA1, 0xBB)),
    *_characters(b"\xef\xbd", *range(0x81, 0x9B)),
    *_characters(b"\xf0\x9d", *range(0x90, 0xA0)),
)
_RARE = OneOf(*_INVISIBLE_ONES, *_WIDE_ONES)
_IN_A_WORD = OneOf(rb"[A-Za-z0-9]" + _INVISIBLE)
# Letters of two scripts side by side.
_SIDE_BY_SIDE = OneOf(rb"[A-Za-z][\xcd-\xd4]", rb"[\xcd-\xd4][\x80-\xbf][A-Za-z]")


@lru_cache(4096)
def _fold(disguise: bytes) -> bytes:
    text = disguise.decode()
    if text[0] in _LOOK_ALIKES:
        return "".join(_LOOK_ALIKES[character] for character in text).encode()
    if disguise.startswith((b"\xef\xbc", b"\xef\xbd", b"\xf0")):
        plain = unicodedata.normalize("NFKC", text)
        return plain.encode() if plain.isascii() else disguise
    return b""


def _occurs_in(text: bytes) -> bool:
    if text.isascii():
        return False
    rare = _RARE.occurring(text)
    if rare and (max(rare) >= len(_INVISIBLE_ONES) or _IN_A_WORD.occur_in(text)):
        return True
    return any(lead in text for lead in _LEADS_OF_LOOK_ALIKES) and _SIDE_BY_SIDE.occur_in(text)


#: Not for streams: what is invisible stands for nothing, and which letters mix is seen from what follows.
FOLD = Escapes(
    re.compile(b"(" + _LEAD + _REST + b")", re.DOTALL),
    _fold,
    markers=tuple(bytes([lead]) for lead in (0xC2, *range(0xCD, 0xD5), 0xE2, 0xEF, 0xF0)),
    max_length=64,
    matter_in=_occurs_in,
)
