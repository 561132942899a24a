"""Content codings come off exactly, in any chunking, and within their limits."""

import gzip
import itertools
import random
import zlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icapd.errors import CodingError
from icapd.http.codings import RATIO_FLOOR, CodingLimits, Decoder, parse_content_codings

TEXT = b'{"name": "value", "list": [1, 2, 3]}' * 40


def raw_deflate(data: bytes) -> bytes:
    engine = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return engine.compress(data) + engine.flush()


def decode(chunks: Sequence[bytes], codings: Sequence[str]) -> bytes:
    decoder = Decoder(codings)
    return b"".join(map(decoder.feed, chunks)) + decoder.finish()


def bytewise(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


CODED = [
    pytest.param(["gzip"], gzip.compress(TEXT), TEXT, id="gzip"),
    pytest.param(["x-gzip"], gzip.compress(TEXT), TEXT, id="x-gzip"),
    pytest.param(
        ["gzip"], gzip.compress(TEXT) + gzip.compress(b"more"), TEXT + b"more", id="gzip-two-members"
    ),
    pytest.param(["gzip"], gzip.compress(TEXT) + gzip.compress(b""), TEXT, id="gzip-empty-last-member"),
    pytest.param(["gzip"], gzip.compress(TEXT) + bytes(64), TEXT, id="gzip-padded-with-zeros"),
    pytest.param(["gzip"], gzip.compress(TEXT) + b"garbage", TEXT, id="gzip-garbage-behind-the-end"),
    pytest.param(["gzip"], gzip.compress(TEXT) + b"\x1f", TEXT, id="gzip-half-a-magic-behind-the-end"),
    pytest.param(["gzip"], b"", b"", id="no-byte-at-all"),
    pytest.param(["gzip"], gzip.compress(b""), b"", id="gzip-of-nothing"),
    pytest.param(["deflate"], zlib.compress(TEXT), TEXT, id="deflate-zlib"),
    pytest.param(["deflate"], zlib.compress(TEXT, 1), TEXT, id="deflate-zlib-fastest"),
    pytest.param(["deflate"], zlib.compress(TEXT) + b"garbage", TEXT, id="deflate-garbage-behind-the-end"),
    pytest.param(["deflate"], raw_deflate(TEXT), TEXT, id="deflate-bare"),
    pytest.param(["deflate"], raw_deflate(b""), b"", id="deflate-bare-of-nothing"),
    pytest.param(["gzip", "deflate"], zlib.compress(gzip.compress(TEXT)), TEXT, id="stacked"),
    pytest.param(["gzip", "identity", "gzip"], gzip.compress(gzip.compress(TEXT)), TEXT, id="gzip-twice"),
    pytest.param(["identity"], TEXT, TEXT, id="identity"),
    pytest.param([], TEXT, TEXT, id="none"),
]


@pytest.mark.parametrize(("codings", "body", "text"), CODED)
def test_decodes_whole_and_byte_by_byte(codings: list[str], body: bytes, text: bytes) -> None:
    assert decode([body], codings) == text
    assert decode(bytewise(body), codings) == text


BAD = [
    pytest.param(["gzip"], gzip.compress(TEXT)[:-1], "truncated", id="gzip-without-its-last-byte"),
    pytest.param(["gzip"], gzip.compress(TEXT)[:5], "truncated", id="gzip-half-a-header"),
    pytest.param(["gzip"], b"\x1f", "truncated", id="gzip-one-byte"),
    pytest.param(
        ["gzip"], gzip.compress(b"a") + gzip.compress(TEXT)[:-9], "truncated", id="gzip-second-member-cut"
    ),
    pytest.param(["deflate"], zlib.compress(TEXT)[:-4], "truncated", id="deflate-without-its-checksum"),
    pytest.param(["deflate"], raw_deflate(TEXT)[:-1], "truncated", id="deflate-bare-cut"),
    pytest.param(["gzip"], TEXT, "bad-coding", id="plain-text-as-gzip"),
    pytest.param(["gzip"], gzip.compress(TEXT)[:-8] + bytes(8), "bad-coding", id="gzip-wrong-checksum"),
    pytest.param(["deflate"], b"\xff\xff\xff\xff", "bad-coding", id="no-deflate"),
    pytest.param(
        ["gzip", "deflate"], zlib.compress(b"no gzip in here"), "bad-coding", id="stacked-inner-is-none"
    ),
    pytest.param(["br"], TEXT, "unknown-coding", id="unknown"),
    pytest.param(["gzip"] * 4, TEXT, "unknown-coding", id="too-many-layers"),
]


@pytest.mark.parametrize(("codings", "body", "reason"), BAD)
def test_refuses_whole_and_byte_by_byte(codings: list[str], body: bytes, reason: str) -> None:
    for chunks in ([body], bytewise(body)):
        with pytest.raises(CodingError) as error:
            decode(chunks, codings)
        assert error.value.reason == reason


BOMB = gzip.compress(bytes(64 * RATIO_FLOOR))
LIMITED = [
    pytest.param(["gzip"], BOMB, CodingLimits(max_size=None), "coding-ratio", id="ratio"),
    pytest.param(["gzip"], BOMB, CodingLimits(max_size=10_000), "decoded-size", id="size"),
    pytest.param(
        ["gzip", "gzip"],
        gzip.compress(BOMB),
        CodingLimits(max_size=None),
        "coding-ratio",
        id="ratio-of-two-layers",
    ),
    pytest.param(
        ["gzip", "gzip"],
        gzip.compress(gzip.compress(b"") * 200_000),
        CodingLimits(max_size=None),
        "coding-ratio",
        id="an-inner-layer-that-swallows-much-for-nothing",
    ),
]


@pytest.mark.parametrize(("codings", "body", "limits", "reason"), LIMITED)
def test_limits_hold_while_decoding(
    codings: list[str], body: bytes, limits: CodingLimits, reason: str
) -> None:
    for size in (1000, len(body)):
        decoder, produced = Decoder(codings, limits), 0
        with pytest.raises(CodingError) as error:
            for at in range(0, len(body), size):
                produced += len(decoder.feed(body[at : at + size]))
        assert error.value.reason == reason
        assert produced <= RATIO_FLOOR


def test_a_short_body_of_zeros_is_no_bomb() -> None:
    text = bytes(RATIO_FLOOR)
    assert decode([gzip.compress(text)], ["gzip"]) == text


def test_incompressible_text_passes_at_any_size() -> None:
    text = random.Random(1).randbytes(3 * RATIO_FLOOR)
    assert decode([gzip.compress(text, 1)], ["gzip"]) == text


@pytest.mark.parametrize(
    ("value", "codings"),
    [
        pytest.param(None, (), id="absent"),
        pytest.param(b"", (), id="empty"),
        pytest.param(b"identity", (), id="identity"),
        pytest.param(b"GZip", ("gzip",), id="any-case"),
        pytest.param(b"gzip,\tbr ,, identity", ("gzip", "br"), id="list-in-order"),
        pytest.param(b"\xff", ("\xff",), id="no-ascii"),
    ],
)
def test_content_encoding_is_read_as_a_list(value: bytes | None, codings: tuple[str, ...]) -> None:
    assert parse_content_codings(value) == codings


COMPRESSORS = {"gzip": gzip.compress, "deflate": zlib.compress, "bare": raw_deflate}


@given(
    data=st.binary(max_size=300) | st.binary(max_size=4).map(lambda part: part * 5000),
    layers=st.lists(st.sampled_from(sorted(COMPRESSORS)), max_size=3),
    cuts=st.lists(st.integers(min_value=0, max_value=1000), max_size=8),
)
def test_any_chunking_decodes_alike(data: bytes, layers: list[str], cuts: list[int]) -> None:
    body = data
    for layer in layers:
        body = COMPRESSORS[layer](body)
    codings = ["gzip" if layer == "gzip" else "deflate" for layer in layers]
    edges = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    assert decode([body[a:b] for a, b in itertools.pairwise(edges)], codings) == data
