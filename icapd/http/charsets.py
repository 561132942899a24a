"""Character encodings: which bodies the byte rules can read as they are (WHATWG Encoding names)."""

import codecs
from functools import lru_cache

# UTF-16 LE is a prefix of UTF-32 LE's mark, so these three cover both families.
_WIDE_BYTE_ORDER_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)
# What an ASCII-compatible encoding leaves as it is; UTF-7 falls over the plus sign.
_PROBE = "AZaz09+/=:"
#: Names of charsets that are remembered; there are some hundred, and peers may invent more.
_REMEMBERED = 256


def is_readable(charset: str | None, sample: bytes) -> bool:
    """Whether ASCII text in the body stands as ASCII bytes, by the declared charset and the byte order mark.

    An unknown charset counts as readable: clients fall back to an ASCII-compatible one as well.
    """
    if sample.startswith(_WIDE_BYTE_ORDER_MARKS):
        return False
    return charset is None or _keeps_ascii(charset)


@lru_cache(maxsize=_REMEMBERED)
def _keeps_ascii(charset: str) -> bool:
    try:
        return _PROBE.encode(charset) == _PROBE.encode("ascii")
    except (LookupError, ValueError):
        # ValueError: Python has a codec called `undefined`, which refuses every text.
        return True
