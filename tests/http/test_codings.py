"""Content codings come off exactly, in any chunking, and within their limits."""

import gzip
import itertools
import random
import struct
import zlib
from collections.abc import Callable, Sequence

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from icapd.errors import CodingError
from icapd.http.codings import RATIO_FLOOR, CodingLimits, Decoder, parse_content_codings
from icapd.http.decompressors import OPENERS

TEXT = b'{"name": "value", "list": [1, 2, 3]}' * 40


def raw_deflate(data: bytes) -> bytes:
    engine = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return engine.compress(data) + engine.flush()


def zstd(data: bytes, window_log: int = 0, **options: bool) -> bytes:
    """One frame; with `window_log` of a stream, whose frame has that window and not the size of the data."""
    if not window_log:
        return zstandard.ZstdCompressor(**options).compress(data)
    parameters = zstandard.ZstdCompressionParameters(window_log=window_log, **options)
    engine = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return engine.compress(data) + engine.flush()


def skippable(data: bytes, number: int = 0) -> bytes:
    """RFC 8878 section 3.1.2."""
    return struct.pack("<II", 0x184D2A50 + number, len(data)) + data


def decode(chunks: Sequence[bytes], codings: Sequence[str]) -> bytes:
    decoder = Decoder(codings)
    return b"".join(map(decoder.feed, chunks)) + decoder.finish()


def bytewise(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


LONG_TEXT = random.Random(2).randbytes(200_000)
LONG_BR = brotli.compress(LONG_TEXT)

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
    pytest.param(["br"], brotli.compress(TEXT), TEXT, id="br"),
    pytest.param(["br"], brotli.compress(TEXT, quality=0), TEXT, id="br-fastest"),
    pytest.param(["br"], brotli.compress(b""), b"", id="br-of-nothing"),
    pytest.param(["br"], b"", b"", id="br-no-byte-at-all"),
    pytest.param(["br"], brotli.compress(TEXT) + b"garbage", TEXT, id="br-garbage-behind-the-end"),
    pytest.param(["br"], brotli.compress(TEXT) * 2, TEXT, id="br-is-one-stream-only"),
    pytest.param(["br"], LONG_BR + b"garbage", LONG_TEXT, id="br-garbage-behind-a-long-stream"),
    pytest.param(["zstd"], zstd(TEXT), TEXT, id="zstd"),
    pytest.param(["zstd"], zstd(TEXT, write_checksum=True), TEXT, id="zstd-with-checksum"),
    pytest.param(["zstd"], zstd(TEXT, 23), TEXT, id="zstd-of-the-largest-window"),
    pytest.param(["zstd"], zstd(b""), b"", id="zstd-of-nothing"),
    pytest.param(["zstd"], b"", b"", id="zstd-no-byte-at-all"),
    pytest.param(["zstd"], zstd(TEXT) + zstd(b"more", 10), TEXT + b"more", id="zstd-two-frames"),
    pytest.param(["zstd"], skippable(b"note") + zstd(TEXT), TEXT, id="zstd-skippable-in-front"),
    pytest.param(
        ["zstd"], zstd(TEXT) + skippable(b"", 15) + zstd(b"."), TEXT + b".", id="zstd-skippable-in-between"
    ),
    pytest.param(["zstd"], skippable(bytes(9000)), b"", id="zstd-skippable-alone"),
    # A frame that says 47 bytes and has one, then an empty last block: whoever reads it as it comes takes it.
    pytest.param(
        ["zstd"], b"\x28\xb5\x2f\xfd\x20\x2f\x08\x00\x00a\x01\x00\x00", b"a", id="zstd-of-another-size"
    ),
    pytest.param(["zstd"], zstd(TEXT) + b"garbage", TEXT, id="zstd-garbage-behind-the-end"),
    pytest.param(["zstd"], zstd(TEXT) + zstd(TEXT)[:3], TEXT, id="zstd-part-of-a-magic-behind-the-end"),
    pytest.param(["br", "zstd", "gzip"], gzip.compress(zstd(brotli.compress(TEXT))), TEXT, id="three-kinds"),
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
    pytest.param(["br"], brotli.compress(TEXT)[:-1], "truncated", id="br-without-its-last-byte"),
    pytest.param(["br"], brotli.compress(TEXT)[:1], "truncated", id="br-one-byte"),
    pytest.param(["br"], TEXT, "bad-coding", id="plain-text-as-br"),
    pytest.param(["zstd"], zstd(TEXT)[:-1], "truncated", id="zstd-without-its-last-byte"),
    pytest.param(["zstd"], zstd(TEXT)[:3], "truncated", id="zstd-part-of-a-magic"),
    pytest.param(["zstd"], zstd(b"a") + zstd(TEXT)[:-1], "truncated", id="zstd-second-frame-cut"),
    pytest.param(["zstd"], skippable(b"note")[:-1], "truncated", id="zstd-skippable-cut"),
    pytest.param(["zstd"], TEXT, "bad-coding", id="plain-text-as-zstd"),
    pytest.param(
        ["zstd"], zstd(TEXT, write_checksum=True)[:-4] + bytes(4), "bad-coding", id="zstd-wrong-checksum"
    ),
    pytest.param(["zstd"], zstd(TEXT, 24), "bad-coding", id="zstd-of-too-large-a-window"),
    pytest.param(["br", "zstd"], zstd(b"no brotli in here"), "bad-coding", id="br-in-zstd-is-none"),
    pytest.param(["compress"], TEXT, "unknown-coding", id="unknown"),
    pytest.param(["dcb"], TEXT, "unknown-coding", id="brotli-with-a-dictionary"),
    pytest.param(["dcz"], TEXT, "unknown-coding", id="zstd-with-a-dictionary"),
    pytest.param(["gzip"] * 4, TEXT, "unknown-coding", id="too-many-layers"),
]


@pytest.mark.parametrize(("codings", "body", "reason"), BAD)
def test_refuses_whole_and_byte_by_byte(codings: list[str], body: bytes, reason: str) -> None:
    for chunks in ([body], bytewise(body)):
        with pytest.raises(CodingError) as error:
            decode(chunks, codings)
        assert error.value.reason == reason


BOMB = gzip.compress(bytes(64 * RATIO_FLOOR))
BR_BOMB, ZSTD_BOMB = brotli.compress(bytes(64 * RATIO_FLOOR)), zstd(bytes(64 * RATIO_FLOOR))
#: Blocks of one byte repeated 128 KiB times, in four bytes each: the most that zstd can expand.
RLE_BOMB = b"\x28\xb5\x2f\xfd\x00\x68" + (0x20000 << 3 | 2).to_bytes(3, "little").join([b"", *[b"a"] * 999])
UNLIMITED = CodingLimits(max_size=None)
LIMITED = [
    pytest.param(["br"], BR_BOMB, UNLIMITED, "coding-ratio", id="ratio-of-br"),
    pytest.param(["zstd"], ZSTD_BOMB, UNLIMITED, "coding-ratio", id="ratio-of-zstd"),
    pytest.param(["zstd"], RLE_BOMB, UNLIMITED, "coding-ratio", id="ratio-of-repeated-bytes"),
    pytest.param(["br"], BR_BOMB, CodingLimits(max_size=10_000), "decoded-size", id="size-of-br"),
    pytest.param(["zstd"], ZSTD_BOMB, CodingLimits(max_size=10_000), "decoded-size", id="size-of-zstd"),
    pytest.param(["br", "zstd"], zstd(BR_BOMB), UNLIMITED, "coding-ratio", id="ratio-of-br-in-zstd"),
    pytest.param(["zstd", "br"], brotli.compress(zstd(b"") * 10**6), UNLIMITED, "bad-coding", id="frames"),
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
        "bad-coding",
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


@pytest.mark.parametrize(("coding", "compress"), [("gzip", gzip.compress), ("zstd", zstd)])
def test_streams_that_hold_something_may_be_many(coding: str, compress: Callable[[bytes], bytes]) -> None:
    """Opening one is work; a body of nothing but beginnings is refused."""
    line = random.Random(5).randbytes(100)
    assert decode([compress(line) * 3000], [coding]) == line * 3000
    with pytest.raises(CodingError) as error:
        decode([compress(b"") * 3000], [coding])
    assert error.value.reason == "bad-coding"


@pytest.mark.parametrize(
    ("coding", "compress"), [("gzip", gzip.compress), ("br", brotli.compress), ("zstd", zstd)]
)
def test_a_short_body_of_zeros_is_no_bomb(coding: str, compress: Callable[[bytes], bytes]) -> None:
    text = bytes(RATIO_FLOOR)
    assert decode([compress(text)], [coding]) == text
    assert decode(bytewise(compress(text)), [coding]) == text


@pytest.mark.parametrize(
    ("coding", "compress"), [("gzip", gzip.compress), ("br", brotli.compress), ("zstd", zstd)]
)
def test_body_within_the_ratio_passes_at_any_size(coding: str, compress: Callable[[bytes], bytes]) -> None:
    """Also where it expands the most at its beginning, and is measured by what came that far."""
    generator = random.Random(4)
    text = b"".join(generator.randbytes(400) + bytes(50_000) for _ in range(60))
    body = compress(text)
    assert len(text) > 2 * RATIO_FLOOR and 100 < len(text) / len(body) < 150
    for size in (1, 1000, len(body)):
        assert decode([body[at : at + size] for at in range(0, len(body), size)], [coding]) == text


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


def test_a_bomb_is_taken_out_in_small_steps() -> None:
    """Whatever the limits: what is in memory at a time is what they can't prevent."""
    for coding, bomb in (("br", BR_BOMB), ("zstd", RLE_BOMB), ("gzip", BOMB)):
        pieces = OPENERS[coding][1](bomb[:4], True).pieces(bomb)  # type: ignore[union-attr]
        assert max(map(len, pieces)) <= 8 * 2**20, coding


COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "bare": raw_deflate,
    "br": brotli.compress,
    "zstd": zstd,
}


@given(
    data=st.binary(max_size=300) | st.binary(max_size=4).map(lambda part: part * 5000),
    layers=st.lists(st.sampled_from(sorted(COMPRESSORS)), max_size=3),
    cuts=st.lists(st.integers(min_value=0, max_value=1000), max_size=8),
)
def test_any_chunking_decodes_alike(data: bytes, layers: list[str], cuts: list[int]) -> None:
    body = data
    for layer in layers:
        body = COMPRESSORS[layer](body)
    codings = ["deflate" if layer == "bare" else layer for layer in layers]
    edges = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    assert decode([body[a:b] for a, b in itertools.pairwise(edges)], codings) == data
