"""Masks in bodies, forms, URLs and headers, whole and as they flow."""

import json
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inspection.inspecting import EVENTS, FORM, HTML, JSON, PLAIN, inspector, pieces_of, policy, rule, through

from icapd.http.headers import Headers
from icapd.http.media_types import MediaType
from icapd.inspection import Fingerprinter, Inspector

CARD = "4111111111111111"
TAG = Fingerprinter(b"key").tag(CARD.encode())
LABEL = f"[REDACTED:card:{TAG}]"
MASKS = ["redacted", "label", "keep-last-4", "same-length"]


@pytest.fixture(scope="module")
def inspectors(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Inspector]:
    """One for each mask, of the same rule."""

    def of(mask: str) -> Inspector:
        directory = tmp_path_factory.mktemp(mask)
        more = f'mask = "{mask}"'
        card = rule("card", "4[0-9]{15}", CARD, targets=("body", "url", "header"), more=more)
        return inspector(policy(directory, card))

    return {mask: of(mask) for mask in MASKS}


@pytest.mark.parametrize(
    ("mask", "media_type", "body", "masked"),
    [
        ("label", PLAIN, f"a {CARD} b", f"a {LABEL} b"),
        ("label", PLAIN, f"{CARD} {CARD}", f"{LABEL} {LABEL}"),
        ("label", JSON, f'{{"n": "{CARD}"}}', f'{{"n": "{LABEL}"}}'),
        ("label", JSON, f'{{"n": {CARD}}}', '{"n": 0}'),
        ("label", JSON, '{"n": "4111\\u0031' + CARD[5:] + '"}', f'{{"n": "{LABEL}"}}'),
        ("label", FORM, f"n={CARD}&m=1", f"n={LABEL}&m=1".replace("[", "%5B").replace("]", "%5D")),
        ("label", EVENTS, f'data: {{"n": "{CARD}"}}\n\n', f'data: {{"n": "{LABEL}"}}\n\n'),
        ("keep-last-4", HTML, f"<p>{CARD}</p>", "<p>****1111</p>"),
        ("keep-last-4", JSON, f'{{"n": {CARD}, "m": "{CARD}"}}', '{"n": 1111, "m": "****1111"}'),
        ("keep-last-4", JSON, f"[12{CARD}]", "[121111]"),
        ("keep-last-4", FORM, "n=4111%31" + CARD[5:], "n=****1111"),
        ("same-length", PLAIN, f"é{CARD}é", f"é{'*' * 16}é"),
        ("same-length", JSON, '{"n": "4111\\u0031' + CARD[5:] + '"}', f'{{"n": "{"*" * 16}"}}'),
        ("same-length", JSON, f'{{"n": {CARD}}}', '{"n": 0               }'),
        ("same-length", JSON, f'{{"n": {CARD}.25}}', '{"n": 0               }'),
    ],
)
def test_bodies(
    inspectors: dict[str, Inspector], mask: str, media_type: MediaType, body: str, masked: str
) -> None:
    text = body.encode()
    if media_type is EVENTS:
        assert through(inspectors[mask].stream(EVENTS), [text]).decode() == masked
    else:
        assert inspectors[mask].inspect_body(text, media_type).text.decode() == masked


def test_urls_and_headers(inspectors: dict[str, Inspector]) -> None:
    url = inspectors["label"].inspect_url(f"https://h/a?n={CARD}".encode()).url
    assert dict(parse_qsl(url.decode().partition("?")[2])) == {"n": LABEL}
    headers = inspectors["keep-last-4"].inspect_headers(Headers(((b"X-Card", CARD.encode()),))).headers
    assert headers.get(b"x-card") == b"****1111"


@pytest.mark.parametrize(
    ("mask", "masked"),
    [
        ("redacted", "a [REDACTED]****** b"),
        ("label", f"a {'*' * 16} b"),
        ("keep-last-4", "a ****1111******** b"),
        ("same-length", f"a {'*' * 16} b"),
    ],
)
def test_a_flow_keeps_its_length(inspectors: dict[str, Inspector], mask: str, masked: str) -> None:
    stream = inspectors[mask].stream(PLAIN, keeps_length=True)
    assert through(stream, [f"a {CARD} b".encode()]).decode() == masked


def test_secrets_that_overlap_show_nothing_of_each_other(tmp_path: Path) -> None:
    keep = 'mask = "keep-last-4"'
    two = policy(
        tmp_path, rule("a", "4[0-9]{15}", CARD, more=keep), rule("b", "1123456789", "1123456789", more=keep)
    )
    assert inspector(two).inspect_body(f"{CARD}23456789".encode(), PLAIN).text == b"[REDACTED]"


def test_two_masks_for_one_secret_are_none(tmp_path: Path) -> None:
    keep = rule("a", "4[0-9]{15}", CARD, more='mask = "keep-last-4"')
    two = policy(tmp_path, keep, rule("b", "4[0-9]{15}", CARD))
    assert inspector(two).inspect_body(CARD.encode(), PLAIN).text == b"[REDACTED]"


LEAVES = st.one_of(
    st.text('abé\\"[]{}:,', max_size=6),
    st.just(CARD).map(lambda card: f"x {card} y"),
    st.just(int(CARD)),
    st.integers(-9, 9),
    st.none(),
)
DOCUMENTS = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=3), inner, max_size=3),
)


def shape(document: object) -> object:
    """The document with each leaf's type in its place."""
    match document:
        case dict():
            return {name: shape(value) for name, value in document.items()}
        case list():
            return [shape(value) for value in document]
    return type(document)


@pytest.mark.parametrize("mask", MASKS)
@given(document=DOCUMENTS, ascii_only=st.booleans(), data=st.data())
def test_json_keeps_its_shape(
    inspectors: dict[str, Inspector], mask: str, document: object, ascii_only: bool, data: st.DataObject
) -> None:
    text = json.dumps([document], ensure_ascii=ascii_only).encode()
    whole = inspectors[mask].inspect_body(text, JSON).text
    assert shape(json.loads(whole)) == shape([document])
    assert CARD.encode() not in whole
    assert through(inspectors[mask].stream(JSON), data.draw(pieces_of(text))) == whole
    kept = through(inspectors[mask].stream(JSON, keeps_length=True), [text])
    assert len(kept) == len(text)
    assert shape(json.loads(kept)) == shape([document])
    assert CARD.encode() not in kept
