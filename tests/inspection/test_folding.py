# ruff: noqa: RUF001 (characters that look like others are what this is about)
"""Characters that look like others, or like nothing, are read as what they look like."""

from pathlib import Path

import pytest
from inspecting import HTML, JSON, PLAIN, inspector, policy, rule

from icapd.http.media_types import MediaType
from icapd.inspection.folding import FOLD
from icapd.inspection.formats import WHOLE_ESCAPES
from icapd.inspection.views import View, Views


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        pytest.param("p\u200ba\u00ads\ufeffs", "pass", id="invisible"),
        pytest.param("ＡＫＩＡ＜ｓ＞", "AKIA<s>", id="full-width"),
        pytest.param("𝐀𝓀𝕀𝟘", "AkI0", id="mathematical"),
        pytest.param("раsswоrd АKIA", "password AKIA", id="look-alikes"),
        pytest.param("пароль USD οδός", "пароль USD οδός", id="whole-words-of-other-scripts"),
    ],
)
def test_folding(text: str, folded: str) -> None:
    assert View(FOLD, text.encode()).text.decode() == folded


@pytest.mark.parametrize(
    ("text", "readings"),
    [
        pytest.param("plain and ascii", 1, id="ascii"),
        pytest.param("Donau\u00addampf “quoted” — naïve ✓", 2, id="soft-hyphen-in-a-word"),
        pytest.param("“quoted” — naïve 👩\u200d💻 日本、東京（都） привет", 1, id="everyday-characters"),
        pytest.param("раssword", 2, id="mixed-scripts"),
        pytest.param("ＡＢＣ", 2, id="full-width"),
        pytest.param("p\u200bassword", 2, id="invisible"),
    ],
)
def test_a_text_without_disguise_is_read_once(text: str, readings: int) -> None:
    assert len(list(Views(text.encode(), WHOLE_ESCAPES["text"]))) == readings


KEY = "KEY-ABCDEF123456"


@pytest.mark.parametrize("media_type", [JSON, HTML, PLAIN, MediaType("multipart/form-data")])
@pytest.mark.parametrize(
    "spelled",
    [
        "KEY\u200b-ABC\u00adDEF123456",
        "КЕY-АВСDЕF123456",
        "ＫＥＹ-ＡＢＣＤＥＦ１２３４５６",
        "𝐊𝐄𝐘-ABCDEF123456",
    ],
    ids=["invisible", "look-alikes", "full-width", "mathematical"],
)
def test_a_disguised_key_goes(tmp_path: Path, media_type: MediaType, spelled: str) -> None:
    inspecting = inspector(policy(tmp_path, rule("key", r"KEY-[A-Z0-9]{12}", KEY)))
    inspection = inspecting.inspect_body(f'"a {spelled} b"'.encode(), media_type)
    assert inspection.text == b'"a [REDACTED] b"'
