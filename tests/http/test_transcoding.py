"""Changes to a text in UTF-8 land in its own bytes, and nowhere else."""

import codecs
from functools import cache

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from icapd.errors import CodingError
from icapd.http.charsets import STATEFUL
from icapd.http.transcoding import Edit, Transcoding, difference

STATELESS = ["utf_16_le", "utf_16_be", "utf_32_le", "utf_32_be", "cp932", "shift_jis_2004", "euc_jp"]
STATELESS += ["gb18030", "big5hkscs", "cp949", "johab", "cp037"]
SHIFTING = sorted(STATEFUL)
LABEL = b"[REDACTED]"
#: For properties that are tried for each charset.
FEW = settings(max_examples=40)


@cache
def letters_of(charset: str) -> list[str]:
    """Some characters that a charset can encode and gives back."""
    return [letter for letter in map(chr, range(0x20, 0xD7FF, 11)) if _round_trips(letter, charset)][::9]


def texts(charset: str) -> st.SearchStrategy[str]:
    """Texts of which most are outside of ASCII."""
    return st.text(st.sampled_from(letters_of(charset)) | st.sampled_from('ab\\"'), max_size=40).filter(
        lambda text: _round_trips(text, charset)
    )


def _round_trips(text: str, charset: str) -> bool:
    try:
        return text.encode(charset).decode(charset) == text
    except UnicodeError:
        return False


def transcoded(charset: str, own: bytes, sizes: list[int]) -> tuple[Transcoding, bytes]:
    transcoding, out = Transcoding(charset), b""
    for size in sizes:
        out += transcoding.feed(own[:size])
        own = own[size:]
    return transcoding, out + transcoding.feed(own, is_last=True)


@pytest.mark.parametrize("charset", STATELESS)
@FEW
@given(st.data(), st.lists(st.integers(0, 30), max_size=8), st.integers(0, 3))
def test_edits_land_in_the_bytes_that_they_mean(
    charset: str, data: st.DataObject, sizes: list[int], repeated: int
) -> None:
    before, middle, after = (data.draw(texts(charset)) for _ in range(3))
    # A row of base64 of more than 4 KiB, as UTF-7 would have of more, is refused.
    before *= 1 + 10 * repeated
    parts = [part.encode(charset) for part in (before, "SECRET", middle, "SECRET", after)]
    own = b"".join(parts)
    assume(own.decode(charset) == before + "SECRET" + middle + "SECRET" + after)
    transcoding, text = transcoded(charset, own, sizes)
    assert text.decode() == own.decode(charset)
    first = len(before.encode())
    second = first + 6 + len(middle.encode())
    edits = [Edit(at, at + 6, LABEL) for at in (first, second)]
    label = LABEL.decode().encode(charset)
    assert transcoding.own_offset(second) == sum(map(len, parts[:3]))
    assert transcoding.respell(edits) == parts[0] + label + parts[2] + label + parts[4]


@pytest.mark.parametrize("charset", STATELESS)
@FEW
@given(st.binary(max_size=60), st.binary(max_size=60), st.lists(st.integers(0, 30), max_size=8))
@example(b"\xff" * 12, b"\xff" * 12, [])
def test_what_is_no_character_stays(charset: str, before: bytes, after: bytes, sizes: list[int]) -> None:
    secret = "SECRET".encode(charset)
    own = before + secret + after
    transcoding, text = transcoded(charset, own, sizes)
    # A broken character in front may have taken the first letter along.
    assume(text.count(b"SECRET") == 1)
    start = text.index(b"SECRET")
    assume(text[:start].decode() == before.decode(charset, "replace"))
    respelled = transcoding.respell([Edit(start, start + 6, LABEL)])
    assert respelled == before + LABEL.decode().encode(charset) + after


@pytest.mark.parametrize("charset", SHIFTING)
@FEW
@given(st.data(), st.integers(0, 3))
def test_edits_land_in_texts_with_shifts(charset: str, data: st.DataObject, repeated: int) -> None:
    """Around an edit, what stands between two shifts may be spelled anew; it means the same."""
    before, middle, after = (data.draw(texts(charset)) for _ in range(3))
    # A row of base64 of more than 4 KiB, as UTF-7 would have of more, is refused.
    before *= 1 + 10 * repeated
    whole = before + "SECRET" + middle + "SECRET" + after
    own = whole.encode(charset)
    assume(own.decode(charset) == whole)
    transcoding, text = transcoded(charset, own, [])
    assert text.decode() == whole
    first = len(before.encode())
    second = first + 6 + len(middle.encode())
    changed = transcoding.respell([Edit(at, at + 6, LABEL) for at in (first, second)])
    expected = LABEL.decode().join([before, middle, after])
    assume(_round_trips(expected, charset))
    assert changed.decode(charset) == f"{before}[REDACTED]{middle}[REDACTED]{after}"


@pytest.mark.parametrize("charset", STATELESS)
@FEW
@given(st.binary(max_size=300), st.lists(st.integers(0, 30), max_size=8))
def test_any_bytes_in_any_pieces_give_the_same_text(charset: str, own: bytes, sizes: list[int]) -> None:
    transcoding, text = transcoded(charset, own, sizes)
    assert text == transcoded(charset, own, [])[1]
    assert transcoding.respell([]) == own


@pytest.mark.parametrize("charset", SHIFTING)
@FEW
@given(st.binary(max_size=300), st.integers(900, 1100), st.integers(0, 1400))
@example(b"\x1b.a0" + b"\x84" * 30, 1015, 500)
def test_any_bytes_with_shifts_are_read(charset: str, own: bytes, before: int, at: int) -> None:
    """Also an escape that is none, at the place where the decoder makes a break."""
    own = b"a" * before + own
    transcoding, text = transcoded(charset, own, [])
    assert text.decode() == own.decode(charset, "replace")
    at = min(at, before - 1)
    respelled = transcoding.respell([Edit(at, at + 1, LABEL)])
    # Characters in front are plain, but may be in a stretch that is encoded anew.
    assert respelled.startswith(own[:at] + LABEL)


@pytest.mark.parametrize("charset", STATELESS)
@FEW
@given(st.binary(max_size=120), st.lists(st.tuples(st.integers(0, 30), st.integers(0, 200)), max_size=8))
def test_a_text_is_taken_in_parts(charset: str, own: bytes, steps: list[tuple[int, int]]) -> None:
    transcoding, out, rest, size, until = Transcoding(charset), b"", own, 0, 0
    for length, more in steps:
        size += len(transcoding.feed(rest[:length]))
        rest = rest[length:]
        until = min(until + more, size)
        out += transcoding.take(until)
    size += len(transcoding.feed(rest, is_last=True))
    assert out + transcoding.take(size) == own


@pytest.mark.parametrize("charset", STATELESS)
@FEW
@given(st.data())
def test_lengths_can_be_kept(charset: str, data: st.DataObject) -> None:
    before, secret, after = (data.draw(texts(charset)) for _ in range(3))
    assume(secret)
    parts = [part.encode(charset) for part in (before, secret, after)]
    own = b"".join(parts)
    assume(own.decode(charset) == before + secret + after)
    transcoding, text = transcoded(charset, own, [])
    start, size = len(before.encode()), len(secret.encode())
    edit = Edit(start, start + size, LABEL.ljust(size, b"*") if size >= 10 else b"*" * size)
    changed = transcoding.take(len(text), [edit], keeps_length=True)
    assert len(changed) == len(own)
    assert (changed[: len(parts[0])], changed[len(own) - len(parts[2]) :]) == (parts[0], parts[2])
    assert not set(changed[len(parts[0]) : len(own) - len(parts[2])].decode(charset)) - set("[REDACTED]*")


def test_many_edits_between_shifts_take_linear_time() -> None:
    """A text that never shifts back is one piece: it is looked through once, not once for each edit."""
    own = b"\x1b(J" + b"SECRET " * 20_000
    transcoding, text = transcoded("iso2022_jp_ext", own, [])
    edits = [Edit(at, at + 6, LABEL) for at in range(0, len(text) - 6, 7)]
    assert b"SECRET" not in transcoding.respell(edits)


def test_what_stands_behind_a_long_stretch_with_shifts_stays() -> None:
    stretch = b"\x1b(J" + b"SECRET " * 3000 + b"\x1b(B" + b"a" * 3000
    # The same character by another shift than the encoder would choose.
    behind = b"\x1b$@" + "表".encode("iso2022_jp")[3:5] + b"\x1b(B" + b" end"
    transcoding, text = transcoded("iso2022_jp_ext", stretch + behind, [])
    changed = transcoding.respell([Edit(14_000, 14_006, LABEL)])
    assert changed.endswith(behind)
    assert changed.decode("iso2022_jp_ext") == (text[:14_000] + LABEL + text[14_006:]).decode()


def test_row_of_base64_that_does_not_end_is_no_text() -> None:
    with pytest.raises(CodingError) as error:
        Transcoding("utf_7").feed(b"+" + b"A" * 10_000)
    assert error.value.reason == "charset"


@given(st.binary(max_size=40), st.binary(max_size=40), st.binary(max_size=40), st.binary(max_size=40))
def test_a_difference_makes_the_one_the_other(before: bytes, one: bytes, other: bytes, after: bytes) -> None:
    text, changed = before + one + after, before + other + after
    edit = difference(text, changed)
    assert text[: edit.start] + edit.replacement + text[edit.end :] == changed
    assert edit.end - edit.start <= len(one)


def test_every_charset_that_shifts_is_known_to_python() -> None:
    for charset in STATEFUL:
        assert codecs.getincrementaldecoder(charset)
