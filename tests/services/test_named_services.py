"""ContentInspector and ResponseFilter by their Python contract; the guide pack agrees with the guide."""

import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.guide import HEADERS, MAX_CHARACTERS, TEXTS, filter_response, inspect_request
from support.policies import KEY, SECRET, demo_policy

from icapd.policy import Policy, default_rules_directory, load_policy
from icapd.services import ContentInspector, ResponseFilter

#: Types by which bodies are read in other ways: none of them may make a difference to the guide's rules.
CONTENT_TYPES = st.sampled_from(
    [
        {},
        {"Content-Type": "application/json"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"Content-Type": "text/html"},
        {"Content-Type": "text/event-stream"},
        {"Content-Type": "image/png"},
        {"Content-Length": "99999999999"},
    ]
)
ESCAPES = st.sampled_from(
    ["\\u003cscript>", '\\"', "%27", "&#39;", "data: ", "\n\n", '{"a": "', '"}', "[1, "]
)
BODIES = st.lists(TEXTS | ESCAPES, max_size=4).map("".join)


@pytest.fixture(scope="module")
def guide() -> Policy:
    return load_policy(default_rules_directory(), packs=["guide"])


@pytest.fixture(scope="module")
def content() -> Policy:
    return load_policy(default_rules_directory(), packs=["content"])


@given(HEADERS, CONTENT_TYPES, BODIES)
@example({}, {"Content-Type": "application/json"}, '{"a": "\\u003cscript>\\u003c/script>"}')
@settings(max_examples=300)
def test_requests_agree_with_the_guide(
    guide: Policy, headers: dict[str, str], content_type: dict[str, str], body: str
) -> None:
    headers = {**content_type, **headers}
    issues = inspect_request(headers, body)
    report = ContentInspector(guide).inspect_request("POST", "https://h/?q='%27--", headers, body)
    assert (report.allowed, len(report.issues), report.risk_score) == (not issues, issues, 10 * issues)


@given(HEADERS, CONTENT_TYPES, BODIES)
@example({}, {"Content-Type": "application/json"}, '{"a": "token=\'x"}, {"b": "y\'"}')
@example({}, {"Content-Type": "text/event-stream"}, "data: token='" + "a" * 40 + "'\n\n")
@settings(max_examples=300)
def test_responses_agree_with_the_guide(
    guide: Policy, headers: dict[str, str], content_type: dict[str, str], body: str
) -> None:
    headers = {**content_type, **headers}
    issues, filtered = filter_response(headers, body)
    report = ResponseFilter(guide).filter_response(headers, body)
    assert (report.allowed, len(report.issues), report.filtered_body) == (not issues, issues, filtered)


@pytest.mark.parametrize("repeats", [1, 200])
def test_every_rule_is_an_issue_once_however_often_it_matches(guide: Policy, repeats: int) -> None:
    body = ("it's token='abc'; eval(1) <script></script> " + "a" * 40 + " ") * repeats
    assert len(ContentInspector(guide).inspect_request("POST", "/", {}, body).issues) == inspect_request(
        {}, body
    )
    assert len(ResponseFilter(guide).filter_response({}, body).issues) == filter_response({}, body)[0]


def test_large_response_is_an_issue_by_its_characters(guide: Policy) -> None:
    body = "\u00e9 " * (MAX_CHARACTERS // 2)
    assert ResponseFilter(guide).filter_response({}, body).allowed
    report = ResponseFilter(guide).filter_response({}, body + "x")
    assert (report.allowed, len(report.issues), report.filtered_body) == (False, 1, body + "x")


def test_clean_messages_are_allowed(tmp_path: Path) -> None:
    policy = demo_policy(tmp_path)
    request = ContentInspector(policy).inspect_request("GET", "https://h/", {}, None)
    assert (request.allowed, request.issues, request.risk_score) == (True, (), 0)
    response = ResponseFilter(policy).filter_response({}, "")
    assert (response.allowed, response.issues, response.filtered_body) == (True, (), "")


def test_secret_is_taken_out_of_json(tmp_path: Path) -> None:
    report = ResponseFilter(demo_policy(tmp_path)).filter_response(
        {"Content-Type": "application/json"}, json.dumps({"a": KEY.decode(), "b": 1})
    )
    assert not report.allowed
    assert json.loads(report.filtered_body) == {"a": "KEY-[REDACTED]", "b": 1}
    assert report.issues == ("Demonstration key (demo.key)",)
    assert SECRET.decode() not in repr(report)


def test_what_is_only_logged_is_an_issue_and_passes(tmp_path: Path) -> None:
    report = ResponseFilter(demo_policy(tmp_path)).filter_response({}, "NOTE-ME")
    assert (report.allowed, len(report.issues)) == (True, 1)


def test_monitor_mode_allows_everything_and_tells_everything(tmp_path: Path) -> None:
    policy = demo_policy(tmp_path, "monitor")
    report = ContentInspector(policy).inspect_request("POST", "https://h/?q=ATTACK!", {}, KEY.decode())
    assert (report.allowed, len(report.issues), report.risk_score) == (True, 2, 70)


@given(st.text(st.characters(exclude_categories=()), max_size=50))
def test_any_text_at_all_comes_back_as_it_was(content: Policy, body: str) -> None:
    assert ResponseFilter(content).filter_response({}, body).filtered_body == body
