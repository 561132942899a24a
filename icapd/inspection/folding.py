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
# U+FF01 to U+FF5E are ASCII for the width of East Asian text.
_FULL_WIDTH = rb"\xef(?:\xbc[\x81-\xbf]|\xbd[\x80-\x9e])"
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
# Only words that mix scripts: a letter of ASCII on one side, no letter of the same script on the other.
_MIXED = rb"(?<=[A-Za-z])%b++(?![\xcd-\xd4])|(?<![\xcd-\xd4][\x80-\xbf])%b++(?=[A-Za-z])" % (
    _LOOK_ALIKE,
    _LOOK_ALIKE,
)
# Where there is something to fold, each with the bytes without which there is not. Rough, for speed: letters
# of two scripts side by side; of full width the letters, digits and what HTML and SQL are made of, because
# full-width punctuation is everyday in Chinese and Japanese.
_SIGNS = (
    ((b"\xe2", b"\xc2", b"\xef"), OneOf(rb"[A-Za-z0-9]" + _INVISIBLE)),
    (
        (b"\xef",),
        OneOf(
            *(
                b"\xef\xbc" + bytes([last])
                for last in (0x82, 0x87, *range(0x90, 0x9A), 0x9C, *range(0xA1, 0xBB))
            ),
            *(b"\xef\xbd" + bytes([last]) for last in range(0x81, 0x9B)),
        ),
    ),
    ((b"\xf0",), OneOf(_MATHEMATICAL)),
    (
        tuple(bytes([lead]) for lead in range(0xCD, 0xD5)),
        OneOf(rb"[A-Za-z][\xcd-\xd4]", rb"[\xcd-\xd4][\x80-\xbf][A-Za-z]"),
    ),
)


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
    return any(any(lead in text for lead in leads) and sign.occur_in(text) for leads, sign in _SIGNS)


#: Not for streams: what is invisible stands for nothing, and which letters mix is seen from what follows.
FOLD = Escapes(
    re.compile(b"(" + b"|".join((_INVISIBLE + b"++", _FULL_WIDTH, _MATHEMATICAL, _MIXED)) + b")"),
    _fold,
    markers=tuple(bytes([lead]) for lead in (0xC2, *range(0xCD, 0xD5), 0xE2, 0xEF, 0xF0)),
    max_length=64,
    matter_in=_occurs_in,
)
