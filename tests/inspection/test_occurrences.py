"""Known secrets are found wherever they stand, few or many."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icapd.errors import ScanTimeout
from icapd.inspection.budget import Budget
from icapd.inspection.occurrences import MIN_REPEATED_SECRET, occurrences, spellings_of

SECRETS = st.text("ab", min_size=MIN_REPEATED_SECRET, max_size=16).map(str.encode)


@given(
    secrets=st.sets(SECRETS, min_size=33, max_size=60),
    parts=st.lists(st.integers(0, 32) | st.just("a") | st.just("b"), max_size=12),
)
def test_many_secrets_are_found_as_each_of_them(secrets: set[bytes], parts: list[int | str]) -> None:
    ordered = sorted(secrets)
    text = b"".join(part.encode() if isinstance(part, str) else ordered[part] for part in parts)
    each = {span for secret in secrets for span in occurrences({secret: ""}, text, Budget(60))}
    assert set(occurrences(dict.fromkeys(secrets, ""), text, Budget(60))) == each
    assert all(text[start:end] in secrets for start, end in each)


def test_a_secret_at_the_end_ends_there() -> None:
    secrets = dict.fromkeys((b"%016d" % number for number in range(40)), "test.rule")
    secrets |= dict.fromkeys((secret[:12] for secret in tuple(secrets)), "test.rule")
    assert set(occurrences(secrets, b"0" * 12, Budget(60))) == {(0, 12)}


def test_a_secret_is_found_every_time() -> None:
    secret = b"tr0ub4dor-and-3"
    text = secret + b" " + secret + secret
    assert list(occurrences({secret: ""}, text, Budget(60))) == [(0, 15), (16, 31), (31, 46)]


@pytest.mark.parametrize("count", [pytest.param(1, id="few"), pytest.param(100, id="many")])
def test_looking_for_secrets_takes_no_more_time_than_there_is(count: int) -> None:
    secrets = {f"secret-number-{number}".encode(): "test.rule" for number in range(count)}
    with pytest.raises(ScanTimeout, match=r"test\.rule"):
        list(occurrences(secrets, b"secret-number-0", Budget(0)))


@pytest.mark.parametrize(
    ("secret", "spellings"),
    [
        pytest.param(b"tr0ub4dor-and-3", ["dHIwdWI0ZG9yLWFuZC0z"], id="letters"),
        pytest.param(
            "p\"4 'é&".encode(),
            [
                "p%224%20%27%C3%A9%26",
                "p%224+%27%C3%A9%26",
                "p&quot;4 &#x27;é&amp;",
                "p&quot;4 &#39;é&amp;",
                r"""p\"4 'é&""",
                r"""p\"4 '\u00e9&""",
                "cCI0ICfDqSY",
            ],
            id="marks",
        ),
        pytest.param(b"\xff\xfe>", ["%FF%FE%3E", "__4-", "//4+"], id="no-text"),
    ],
)
def test_spellings(secret: bytes, spellings: list[str]) -> None:
    assert {secret, *(each.encode() for each in spellings)} <= spellings_of(secret)


@given(st.binary(min_size=MIN_REPEATED_SECRET, max_size=40))
def test_every_secret_has_spellings_to_look_for(secret: bytes) -> None:
    assert all(len(each) >= MIN_REPEATED_SECRET for each in spellings_of(secret))
