"""Values that go on as SQL are told from prose, code and whole statements."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icapd.policy.sql_fragment import sql_fragment

INJECTIONS = [
    "x' AND 1=(SELECT COUNT(*) FROM tab); --",
    "1 AND ascii(substr((SELECT name FROM users LIMIT 1),1,1))>64",
    '") OR ("a"="a',
    "1;DECLARE @q varchar(99)",
    "' OR username IS NOT NULL OR 'x'='y",
    "1 GROUP BY id HAVING 1=1--",
    "1/**/AND/**/(SELECT/**/1)=1",
    "1'+or+1=1#",
    "admin' --",
    "x'/*",
    "-1 /*!50000UNION*/ /*!SELECT*/ 1,2",
    "1) and (select case when 1=1 then 1 else 2 end)=1",
    "' union values (1, 2)--",
    "x` rlike `a",
    "1' and data::jsonb @> '{}",
    "' like '%a%",
    "0 or f(1) -- x",
    "(select(0)from(select(sleep(5)))v)",
    "case when 1=1 then (select version()) else 0 end",
    "'; insert into t values (1)",
    "5 order by 3 desc--",
    "x' and 'a' in ('a', 'b')#",
    "1 and @@version like '5%'",
    "' and not exists (select * from t)--",
    "1 or true",
    "' or null is null -- x",
    "1;call dbms_lock.sleep(3)--",
    "); begin dbms_lock.sleep(3); end",
    "bob) or f(x)=1 -- ",
    "bob/**/&&/**/1/**/in/**/(1,2)#",
    "order by 7-- -",
    "having 1=1#",
]


@pytest.mark.parametrize("value", INJECTIONS)
def test_a_value_that_closes_its_place_and_goes_on_as_sql_is_one(value: str) -> None:
    assert sql_fragment(value.encode())
    assert sql_fragment(value.swapcase().encode())


HARMLESS = [
    "",
    "it's fine, isn't it?",
    "O'Brien",
    "5' 10\" tall",
    "'yes' or 'no'",
    '"a", "b"',
    "', '",
    "'--'",
    "5 and 6 make 11",
    "2 or 3",
    "x = y or y = x",
    "2024-01-01 -- 2024-12-31",
    "1 - f(x)",
    "SELECT a FROM b WHERE c = 'd' AND e = 'f'",
    "name eq 'Milk' or price lt 2.55",
    "How do I escape ' and \" in SQL?",
    "the terms of the client's own union, select members' groups",
    "[1, 2, (3)]",
    "'x' + y + 'z'",
    '{"limit": 5}',
    "1/2 cup",
    "10 in (or 25 cm)",
    "C# and 'F#' are languages",
    "2 or more; true",
    "f(a) or g(b)",
    "order by phone -- or by mail",
    "int x /* = 1 */ = 2;",
    "a) first and (b) second",
]


@pytest.mark.parametrize("value", HARMLESS)
def test_prose_code_and_whole_statements_are_none(value: str) -> None:
    assert not sql_fragment(value.encode())


def test_behind_much_text_a_quote_needs_more_behind_it_than_a_comparison() -> None:
    assert sql_fragment(b"x' is null")
    assert not sql_fragment(b"of all the things that one may say it' is null")
    assert sql_fragment(b"of all the things that one may say it' union select 1")


@given(st.lists(st.from_regex(r"[a-z]{2,9}[,.]?", fullmatch=True), min_size=2, max_size=12))
def test_words_are_none_wherever_an_apostrophe_stands(words: list[str]) -> None:
    reserved = {"and", "or", "in", "is", "as", "div", "mod", "like", "end", "asc", "desc", "not", "on"}
    words = [word for word in words if word.strip(",.") not in reserved] or ["nothing"]
    assert not sql_fragment(" ".join(words).replace("s ", "s' ").encode() + b" it's so")


@given(st.binary(max_size=300))
def test_any_bytes_are_judged(value: bytes) -> None:
    assert sql_fragment(value) in (True, False)
