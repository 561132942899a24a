"""What must stand near a match is looked for in streams as in whole bodies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inspection.inspecting import JSON, PLAIN, inspector, pieces_of, places, policy, rule, through

from icapd.http.media_types import MediaType
from icapd.inspection import Inspector

NEAR = 'near = { words = ["card"], before = 9, after = 7 }'


@pytest.fixture(scope="module")
def near(tmp_path_factory: pytest.TempPathFactory) -> Inspector:
    directory = tmp_path_factory.mktemp("near")
    return inspector(policy(directory, rule("n", "[0-9]{3}", "card 123", more=NEAR)), block_size=8)


@pytest.mark.parametrize("media_type", [PLAIN, JSON])
@given(
    words=st.lists(st.sampled_from(["123", "card", " ", "   ", "x", "dis", "\\u0063ard", "é"]), max_size=14),
    data=st.data(),
)
def test_any_chunking_finds_the_same(
    near: Inspector, media_type: MediaType, words: list[str], data: st.DataObject
) -> None:
    text = f'["{"".join(words)}"]'.encode()
    whole = near.inspect_body(text, media_type)
    stream = near.stream(media_type)
    assert through(stream, data.draw(pieces_of(text))) == whole.text
    assert places(stream.findings) == places(whole.findings)
