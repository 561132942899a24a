"""Of a query its names stay, of its values nothing."""

from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icapd.http.url_shape import MAX_PARAMETERS, path_shape, query_shape

#: What a value is made of here: nothing of it may be left. Names below hold none of it.
VALUE = "VX"


@pytest.mark.parametrize(
    ("query", "shape"),
    [
        pytest.param(b"q=my+illness&page=2", b"q=*&page=*", id="two"),
        pytest.param(b"", b"", id="none"),
        pytest.param(b"q=", b"q=*", id="empty-value"),
        pytest.param(b"=v", b"=*", id="empty-name"),
        pytest.param(b"&&a=1&", b"&&a=*&", id="empty-parameters"),
        pytest.param(b"secret", b"*", id="no-equals-sign"),
        pytest.param(b"a=1=2", b"a=*", id="equals-sign-in-a-value"),
        pytest.param(b"a=x?b=2", b"a=*", id="question-mark-in-a-value"),
        pytest.param(b"a=1;b=2;c", b"a=*", id="semicolons-are-part-of-a-value"),
        pytest.param(b"a=1&x;b=2", b"a=*&*", id="name-that-would-be-a-value-to-others"),
        pytest.param(b"filter%5Bname%5D=x", b"filter%5Bname%5D=*", id="percent-encoded-name"),
        pytest.param(b"a=1%26b=2", b"a=*", id="percent-encoded-separator"),
        pytest.param(b"n" * 40 + b"=1", b"n" * 40 + b"=*", id="longest-name"),
        pytest.param(b"n" * 41 + b"=1", b"*", id="name-too-long"),
        pytest.param(b"utm_12345678=1", b"utm_12345678=*", id="a-date-in-a-name"),
        pytest.param(b"4111-1111-1111-1111=1", b"*", id="number-in-the-place-of-a-name"),
        pytest.param(b"dGhlIHNlY3JldCBrZXk=", b"*", id="base64-with-padding"),
        pytest.param(b"dGhlIHNlY3JldCBrZQ==", b"*", id="base64-with-two"),
        pytest.param(b"a_rather_long_name=", b"a_rather_long_name=*", id="not-as-long-as-base64"),
        pytest.param(b"\xff\0\n=\xff", b"\xff\0\n=*", id="bytes-of-no-text"),
    ],
)
def test_shape_of_a_query(query: bytes, shape: bytes) -> None:
    assert query_shape(query) == shape


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        pytest.param(b"/a/b", b"/a/b", id="plain"),
        pytest.param(b"/cart;jsessionid=5E0F/items", b"/cart;jsessionid=*/items", id="named"),
        pytest.param(b"/cart;5E0F", b"/cart;*", id="no-name"),
        pytest.param(b"/a;b=1;c=2=3;d/e;f=4", b"/a;b=*;c=*;*/e;f=*", id="several"),
        pytest.param(b"/a;/b;;", b"/a;/b;;", id="nothing-behind-it"),
    ],
)
def test_shape_of_a_path(path: bytes, shape: bytes) -> None:
    assert path_shape(path) == shape


names = st.text(st.characters(exclude_characters=VALUE, exclude_categories=("Cs",)), max_size=60)
values = st.text(VALUE + "&=;?#%+ /é", max_size=60)


@given(st.lists(st.tuples(names, values), max_size=20))
def test_no_value_of_a_form_is_left(fields: list[tuple[str, str]]) -> None:
    shape = query_shape(urlencode(fields).encode())
    assert not set(shape) & set(VALUE.encode())
    assert shape.count(b"&") == max(0, len(fields) - 1)


pieces = st.builds(
    "{}{}{}".format, st.text("ab%", max_size=50), st.just("="), st.text(VALUE + "=", max_size=9)
)


@given(st.lists(st.tuples(pieces | st.text(VALUE, max_size=9), st.sampled_from("&;")), max_size=20))
def test_no_value_is_left_whichever_separators_the_origin_knows(joined: list[tuple[str, str]]) -> None:
    query = "".join(piece + separator for piece, separator in joined)
    assert not set(query_shape(query.encode())) & set(VALUE.encode())


def test_a_flood_of_parameters_is_no_more_work_than_a_row_has_room_for() -> None:
    shape = query_shape(b"a=1&" * 100_000)
    assert shape.count(b"&") == MAX_PARAMETERS
    assert shape == b"a=*&" * MAX_PARAMETERS + b"a=*"
