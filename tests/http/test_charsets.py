"""Which charset a text is read in."""

import codecs

import pytest

from icapd.http.charsets import by_label, charset_of, is_text
from icapd.http.media_types import MediaType

LE, BE = "utf_16_le", "utf_16_be"
HTML = b"text/html"
CASES = [
    pytest.param(b"text/plain", b"abc", None, id="nothing-said"),
    pytest.param(b"text/plain", b"", None, id="nothing-there"),
    pytest.param(b"text/plain; charset=utf-8", "é".encode(), None, id="utf-8"),
    pytest.param(b"text/plain; charset=iso-8859-1", b"\xe9", None, id="single-byte"),
    pytest.param(b"text/plain; charset=no-such-charset", b"abc", None, id="unknown-label"),
    pytest.param(b"text/plain; charset=hex", b"abc", None, id="label-of-no-charset"),
    pytest.param(b"text/plain; charset=undefined", b"abc", None, id="label-of-a-trap"),
    pytest.param(b"text/plain; charset=\xff", b"abc", None, id="label-of-no-ascii"),
    pytest.param(b'text/plain; charset="Shift_JIS"', b"abc", "cp932", id="label"),
    pytest.param(b"text/plain; charset=utf-16", b"abc", LE, id="utf-16-is-little-endian"),
    pytest.param(b"text/plain; charset=utf-16be", b"\x00a", BE, id="utf-16be"),
    pytest.param(b"text/plain", b"\xff\xfea\x00", LE, id="mark-le"),
    pytest.param(b"text/plain", b"\xfe\xff\x00a", BE, id="mark-be"),
    pytest.param(b"text/plain", b"\xff\xfe\x00\x00a\x00\x00\x00", "utf_32_le", id="mark-32-le"),
    pytest.param(b"text/plain", b"\x00\x00\xfe\xff\x00\x00\x00a", "utf_32_be", id="mark-32-be"),
    pytest.param(b"text/plain; charset=utf-16", b"\xef\xbb\xbfabc", None, id="mark-before-label"),
    pytest.param(b"text/plain; charset=gbk", b"\xfe\xff\x00a", BE, id="wide-mark-before-label"),
    pytest.param(HTML, b'<p><META name=a><meta charset = "Shift_JIS">', "cp932", id="meta"),
    pytest.param(HTML, b"<meta charset=gb2312>", "gb18030", id="meta-without-quotes"),
    pytest.param(
        HTML,
        b"<meta http-equiv='Content-Type' content='text/html; charset=big5'>",
        "big5hkscs",
        id="http-equiv",
    ),
    pytest.param(HTML, b"<!-- <meta charset=gbk> --><p>charset", None, id="meta-in-a-comment"),
    pytest.param(HTML, b" " * 1024 + b"<meta charset=gbk>", None, id="meta-too-late"),
    pytest.param(HTML, b"<meta charset=utf-16>", None, id="meta-that-can-not-be"),
    pytest.param(b"text/html; charset=utf-8", b"<meta charset=gbk>", None, id="label-before-meta"),
    pytest.param(b"text/plain", b"<meta charset=gbk>", None, id="meta-in-plain-text"),
    pytest.param(b"", b"<meta charset=gbk>", "gb18030", id="meta-without-a-type"),
    pytest.param(
        b"application/xml", b'<?xml version="1.0" encoding="EUC-JP"?><a/>', "euc_jp", id="xml-declaration"
    ),
    pytest.param(b"image/svg+xml", b"<?xml version='1.0' encoding='gbk'?>", "gb18030", id="xml-suffix"),
    pytest.param(
        b"application/xml", '<?xml version="1.0" encoding="cp500"?>'.encode("cp500"), "cp500", id="xml-ebcdic"
    ),
    pytest.param(
        b"application/xml", '<?xml version="1.0"?>'.encode("cp037"), None, id="xml-ebcdic-of-no-name"
    ),
    pytest.param(b"text/xml; charset=utf-16", "<?xml version='1.0'?>".encode(BE), BE, id="xml-order-shows"),
    pytest.param(b"text/xml; charset=utf-16", "<?xml version='1.0'?>".encode(LE), LE, id="xml-order-as-said"),
    pytest.param(b"text/plain; charset=utf-16be", ("😀" * 99).encode(BE), BE, id="order-that-is-said-stands"),
    pytest.param(b"text/plain; charset=utf-16", ("😀" * 99).encode(LE), LE, id="emoji-show-no-order"),
    pytest.param(b"text/css", b'@charset "gbk";', "gb18030", id="css"),
    pytest.param(b"application/json", b'{"a": 1}', None, id="json"),
    pytest.param(b"application/json", '{"a": 1}'.encode(LE), LE, id="json-le"),
    pytest.param(b"application/json", '{"a": 1}'.encode(BE), BE, id="json-be"),
    pytest.param(b"application/json", '{"a": 1}'.encode("utf-32-le"), "utf_32_le", id="json-32-le"),
    pytest.param(b"application/json", '{"a": 1}'.encode("utf-32-be"), "utf_32_be", id="json-32-be"),
    pytest.param(b"application/json", b"1\x00", LE, id="json-of-one-character"),
    pytest.param(b"application/json; charset=utf-16", b'{"a": 1}', None, id="json-is-not-what-it-says"),
    pytest.param(b"application/json; charset=utf-8", '{"a"'.encode(LE), LE, id="json-is-what-it-is"),
    pytest.param(b"application/json; charset=shift_jis", b'{"a"', "cp932", id="json-in-shift-jis"),
    pytest.param(b"application/x-www-form-urlencoded; charset=utf-16", b"a=%61", None, id="form-is-in-ascii"),
    pytest.param(HTML, "<p>Grüße €".encode(LE), LE, id="zeros-le"),
    pytest.param(HTML, "<p>Grüße €".encode(BE), BE, id="zeros-be"),
    pytest.param(HTML, b"<p>\x00</p>\x00", None, id="zeros-anywhere"),
    pytest.param(b"text/html; charset=utf-8", "<p>".encode(LE), None, id="label-before-zeros"),
]


@pytest.mark.parametrize(("content_type", "beginning", "charset"), CASES)
def test_charset_of_a_text(content_type: bytes, beginning: bytes, charset: str | None) -> None:
    assert charset_of(MediaType.parse(content_type), beginning[:1024]) == charset


# Those of the WHATWG Encoding standard whose bytes below 0x80 may be something else than ASCII.
LABELS = {
    "big5hkscs": "big5 big5-hkscs cn-big5 csbig5 x-x-big5",
    "cp949": "cseuckr csksc56011987 euc-kr iso-ir-149 korean ks_c_5601-1987 ks_c_5601-1989 ksc5601 ksc_5601"
    " windows-949",
    "gb18030": "chinese csgb2312 csiso58gb231280 gb2312 gb_2312 gb_2312-80 gbk iso-ir-58 x-gbk gb18030",
    "euc_jp": "cseucpkdfmtjapanese euc-jp x-euc-jp",
    "iso2022_jp_ext": "csiso2022jp iso-2022-jp",
    "cp932": "csshiftjis ms932 ms_kanji shift-jis shift_jis sjis windows-31j x-sjis",
    BE: "unicodefffe utf-16be",
    LE: "csunicode iso-10646-ucs-2 ucs-2 unicode unicodefeff utf-16 utf-16le",
}


@pytest.mark.parametrize(
    ("label", "charset"), [(label, name) for name, labels in LABELS.items() for label in labels.split()]
)
def test_labels_of_the_web(label: str, charset: str) -> None:
    assert by_label(label) == charset
    assert codecs.lookup(charset)


@pytest.mark.parametrize(
    ("sample", "text"),
    [
        pytest.param("Grüße".encode("utf-16"), True, id="marked"),
        pytest.param(b"\xff\xfe" + bytes(64), False, id="marked-by-chance"),
        pytest.param("Grüße".encode("utf-16-le"), False, id="zeros-alone"),
        pytest.param(b"\x89PNG\r\n", False, id="no-text"),
    ],
)
def test_text_of_which_nothing_is_said(sample: bytes, text: bool) -> None:
    assert is_text(sample) is text
