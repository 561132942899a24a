"""Character encodings: which one a text is in, and which can be read as the bytes that stand there.

Rules match ASCII in bytes. A charset in which every byte below 0x80 is always that ASCII character needs no
work: UTF-8, and the single-byte ones from ISO 8859 to KOI8. All others are transcoded (`transcoding`).
"""

import codecs
import encodings
import re
from encodings.aliases import aliases
from functools import lru_cache

from icapd.http.media_types import MediaType, looks_like_text

#: Bytes at the beginning of a text by which its charset is told (WHATWG HTML section 13.2.3.2).
SAMPLE = 1024
#: Names of charsets that are remembered; there are some hundred, and peers may invent more.
_REMEMBERED = 256

#: The charsets that need transcoding, as Python names them, and what they are decoded by: the WHATWG Encoding
#: standard reads the older ones as what is really sent under their names.
_TRANSCODED = {
    "utf_16": "utf_16_le",
    "utf_32": "utf_32_le",
    "shift_jis": "cp932",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "big5": "big5hkscs",
    "cp950": "big5hkscs",
    "euc_kr": "cp949",
    "iso2022_jp": "iso2022_jp_ext",
    **{
        name: name
        for name in """utf_16_le utf_16_be utf_32_le utf_32_be utf_7 cp932 shift_jis_2004 shift_jisx0213
        euc_jp euc_jis_2004 euc_jisx0213 iso2022_jp_1 iso2022_jp_2 iso2022_jp_2004 iso2022_jp_3 iso2022_jp_ext
        iso2022_kr gb18030 hz big5hkscs cp949 johab cp037 cp273 cp424 cp500 cp875 cp1026 cp1140""".split()
    },
}
#: Labels of the WHATWG Encoding standard that Python does not know, with its names of their charsets.
_LABELS = {
    "csunicode": "utf_16",
    "iso_10646_ucs_2": "utf_16",
    "ucs_2": "utf_16",
    "unicode": "utf_16",
    "unicodefeff": "utf_16",
    "unicodefffe": "utf_16_be",
    "windows_31j": "cp932",
    "x_sjis": "cp932",
    "x_gbk": "gbk",
    "gb_2312": "gbk",
    "gb_2312_80": "gbk",
    "csgb2312": "gbk",
    "cn_big5": "big5",
    "x_x_big5": "big5",
    "cseuckr": "euc_kr",
    "iso_ir_149": "euc_kr",
    "ksc_5601": "euc_kr",
    "ks_c_5601_1989": "euc_kr",
    "csksc56011987": "euc_kr",
    "windows_949": "cp949",
    "cseucpkdfmtjapanese": "euc_jp",
    "x_euc_jp": "euc_jp",
}
#: Charsets in which what a byte means depends on those long before it.
STATEFUL = frozenset(name for name in _TRANSCODED.values() if name.startswith(("iso2022", "hz", "utf_7")))
#: No browser reads it: who does not know it sees the bytes as ASCII.
UTF_7 = "utf_7"
# How labels end that say in which order the bytes are.
_ORDERED = ("be", "le", "fffe", "feff")
# Of the characters of a text, so many that the order can't be the other one.
_MOST = 0.75
_WIDE = frozenset({"utf_16_le", "utf_16_be", "utf_32_le", "utf_32_be"})
_EBCDIC = frozenset({"cp037", "cp273", "cp424", "cp500", "cp875", "cp1026", "cp1140"})

_DIGITS_AND_MARKS = re.compile(rb"[ -?]")

# The longest in front: that of UTF-16 LE is the beginning of that of UTF-32 LE.
_MARKS = (
    (codecs.BOM_UTF8, None),
    (codecs.BOM_UTF32_LE, "utf_32_le"),
    (codecs.BOM_UTF32_BE, "utf_32_be"),
    (codecs.BOM_UTF16_LE, "utf_16_le"),
    (codecs.BOM_UTF16_BE, "utf_16_be"),
)
_MARK_STARTS = (b"\xef", b"\xff", b"\xfe", b"\x00")

# WHATWG HTML section 13.2.3.2, without the tokens of HTML: `charset` as an attribute, or within `content`.
_META = re.compile(rb"<meta[\s/][^>]*?charset\s*+=\s*+[\"']?\s*+([^\s\"'/>;]++)", re.IGNORECASE)
_COMMENT = re.compile(rb"<!--.*?-->", re.DOTALL)
# XML 1.0 section 4.3.3; browsers read it in HTML as well.
_XML_DECLARATION = re.compile(rb"\s*+<\?xml\s[^>]*?encoding\s*+=\s*+[\"']([A-Za-z0-9._:-]++)")
# The first letters of one in EBCDIC, in which those of all its charsets are the same (appendix F.1).
_EBCDIC_DECLARATION = "<?xml".encode("cp037")
# CSS Syntax section 3.2.
_CSS_CHARSET = re.compile(rb'@charset "([^"\r\n]++)";')


def charset_of(media_type: MediaType, beginning: bytes) -> str | None:
    """Python's name of the charset that a text has to be transcoded from; None where its bytes can be read.

    `beginning`: SAMPLE bytes of the text, in no coding, or all of them. A byte order mark comes first, then
    what the type says, what the text says itself, and the zeros that ASCII has in UTF-16 and UTF-32; in JSON
    these come before the type, which says nothing there (RFC 8259 section 8.1). Unknown labels count for
    nothing: clients too fall back to an ASCII-compatible charset.
    """
    if beginning.startswith(_MARK_STARTS):
        for mark, charset in _MARKS:
            if beginning.startswith(mark):
                return charset
    # Where every text has ASCII in it, UTF-16 shows.
    shows = media_type.format in {"json", "form"}
    if shows and (wide := _by_zeros(beginning)):
        return wide
    if media_type.charset is not None:
        charset = by_label(media_type.charset)
        if charset in _WIDE and not shows and not media_type.charset.endswith(_ORDERED):
            # RFC 2781 section 4.3: without a mark the order is the sender's, and parsers of XML see it. Where
            # a few have a zero on one side, it may be part of something else, as in emoji.
            return _by_zeros(beginning, _MOST) or charset
        return None if shows and charset in _WIDE else charset
    said = _said_within(media_type.essence, beginning)
    if said is not None:
        charset = by_label(said.decode("latin-1").lower())
        # What could be read as ASCII so far is not in UTF-16.
        return None if charset in _WIDE else charset
    return None if shows else _by_zeros(beginning)


def is_doubtful(charset: str, media_type: MediaType, beginning: bytes) -> bool:
    """Whether some readers of a text in that charset, by `charset_of`, take its bytes for ASCII.

    No browser knows UTF-7 or EBCDIC, and few other clients ask a label at all. That a text is in UTF-16 or
    UTF-32, its bytes say too.
    """
    if charset in _WIDE:
        return charset_of(MediaType(media_type.essence), beginning) not in _WIDE
    return charset == UTF_7 or charset in _EBCDIC


def shows_ascii(charset: str, media_type: MediaType, beginning: bytes) -> bool:
    """Whether a text that `is_doubtful` is ASCII by all that its beginning shows.

    What digits and most marks are in ASCII, are control characters in EBCDIC.
    """
    is_ascii = looks_like_text(beginning) and _DIGITS_AND_MARKS.search(beginning) is not None
    return is_ascii and is_doubtful(charset, media_type, beginning)


@lru_cache(maxsize=_REMEMBERED)
def by_label(label: str) -> str | None:
    """Python's name of the charset that a lower-case label asks to transcode from; None for all others."""
    # codecs.lookup would keep every label that it was ever asked for.
    name = encodings.normalize_encoding(label)
    name = _LABELS.get(name) or aliases.get(name, name)
    return _TRANSCODED.get(name)


def _said_within(essence: str, beginning: bytes) -> bytes | None:
    """The label in the text's own words, by the rules of its format."""
    if essence == "text/css":
        match = _CSS_CHARSET.match(beginning)
    elif essence in {"", "text/html"} or essence.endswith(("/xml", "+xml")):
        if beginning.startswith(_EBCDIC_DECLARATION):
            beginning = beginning.decode("cp037").encode("latin-1")
        match = _XML_DECLARATION.match(beginning)
        if match is None and b"charset" in beginning.lower():
            match = _META.search(_COMMENT.sub(b"", beginning))
    else:
        return None
    return match[1] if match else None


def _by_zeros(beginning: bytes, share: float = 0.25) -> str | None:
    """UTF-16 or UTF-32 without a mark, by where its zeros stand; None where there are none, or anywhere.

    `share`: of the characters of UTF-16, so many at least are below U+0100 then: a quarter in any markup and
    any JSON.
    """
    if b"\x00" not in beginning or len(beginning) < 2:
        return None
    charset = _wide_by_zeros(beginning, share)
    return charset if charset is not None and _is_text_in(charset, beginning) else None


def _wide_by_zeros(beginning: bytes, share: float) -> str | None:
    units = max(1, len(beginning) // 4)
    zeros = [beginning[at::4].count(0) for at in range(4)]
    if len(beginning) >= 4:
        if zeros[2] == zeros[3] == units and zeros[0] < units:
            return "utf_32_le"
        if zeros[0] == zeros[1] == units and zeros[3] < units:
            return "utf_32_be"
    even, odd = zeros[0] + zeros[2], zeros[1] + zeros[3]
    if not even and odd >= 2 * units * share:
        return "utf_16_le"
    if not odd and even >= 2 * units * share:
        return "utf_16_be"
    return None


def is_text(sample: bytes) -> bool:
    """Whether the beginning of a body of which nothing is said is text, in UTF-8 or with a mark of UTF-16."""
    if looks_like_text(sample):
        return True
    charset = charset_of(_UNTYPED, sample) if sample.startswith((b"\xff\xfe", b"\xfe\xff")) else None
    return charset is not None and _is_text_in(charset, sample)


def _is_text_in(charset: str, sample: bytes) -> bool:
    text = codecs.getincrementaldecoder(charset)("replace").decode(sample)
    return looks_like_text(text.encode("utf-8", "replace"))


_UNTYPED = MediaType()
