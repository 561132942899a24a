"""What a policy says for one kind of message only: scopes, exceptions, thresholds, bodies, remedies."""

from collections.abc import Callable
from pathlib import Path

import pytest
from support import wire
from support.adapting import Outcome, adapt, catalogue_of, respmod_of
from support.policies import KEY, RULES
from support.sessions import Workbench

from icapd.policy import load_policy
from icapd.services.catalogue import Catalogue

JSON = b'{"key": "%b"}' % KEY
NOW_US = 1_800_000_000_000_000  # 2027-01-15

Make = Callable[..., Catalogue]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """make("...") has the services of the demonstration pack under a policy.toml with these lines."""

    def made(lines: str, **options: str) -> Catalogue:
        (tmp_path / "demo.toml").write_text(RULES)
        (tmp_path / "policy.toml").write_text(f'packs = ["demo"]\n{lines}')
        return catalogue_of(load_policy(tmp_path), **options)  # type: ignore[arg-type]

    return made


def answer(
    catalogue: Catalogue, body: bytes, content_type: bytes = b"application/json", **icap: str
) -> Outcome:
    icap = {"Allow": "204", **icap}
    return adapt(catalogue, respmod_of(body, content_type, **icap), now_us=NOW_US)


def request(body: bytes, host: bytes = b"example.com", path: bytes = b"/", **icap: str) -> bytes:
    head = b"POST http://%b%b HTTP/1.1\r\nHost: %b\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n"
    return wire.reqmod(head % (host, path, host, len(body)), wire.chunked(body), Allow="204", **icap)


SCOPE = '[[scope]]\nname = "some"\n{}\n'


def test_group_only_watches(make: Make) -> None:
    catalogue = make(SCOPE.format('users = ["ann"]\nmode = "monitor"'))
    names = {"X-Client-Username": "Ann"}
    watched, other = answer(catalogue, JSON, **names), answer(catalogue, JSON)
    assert (watched.record.verdict, watched.record.disposition) == ("redacted", "unmodified")
    assert (other.record.verdict, other.record.disposition) == ("redacted", "redacted")


def test_response_is_told_by_the_host_of_its_request(make: Make) -> None:
    catalogue = make(SCOPE.format('hosts = ["h.example"]\nmethods = ["GET"]\nmode = "monitor"'))
    outcome = answer(catalogue, JSON)
    assert outcome.record.host is not None
    catalogue = make(SCOPE.format(f'hosts = ["{outcome.record.host}"]\nmethods = ["GET"]\nmode = "monitor"'))
    assert answer(catalogue, JSON).record.disposition == "unmodified"


@pytest.mark.parametrize("mode", ["open", "closed"])
def test_skipped_message_passes_unseen_and_is_told_so(make: Make, mode: str) -> None:
    catalogue = make(SCOPE.format('hosts = ["bank.example"]\nskip = true'), mode=mode)
    path = b"/" + KEY
    record = adapt(catalogue, request(b"NOTE-ME ATTACK!", b"bank.example", path)).record
    assert (record.verdict, record.disposition, record.findings) == ("allowed", "unmodified", ())
    assert (record.inspection, record.skip_reason) == ("skipped", "policy")
    assert KEY.decode() not in str(record), "what is kept has no secret all the same"
    assert adapt(catalogue, request(b"NOTE-ME")).record.verdict == "logged"


def test_skipped_message_is_echoed_where_no_204_is_allowed(make: Make) -> None:
    catalogue = make(SCOPE.format('direction = "response"\nskip = true'))
    data = wire.respmod(wire.OK, wire.chunked(JSON))
    outcome = adapt(catalogue, data)
    assert (outcome.body, outcome.record.disposition) == (JSON, "echoed")


def test_exception_lets_a_block_pass_and_shows_it(make: Make) -> None:
    exception = (
        '[[exception]]\nrules = ["demo.malware"]\ndirection = "response"\nclients = ["192.0.2.0/24"]\n'
        'reason = "a sample"\nowner = "ann"\nexpires = 2027-06-30\n'
    )
    catalogue = make(exception)
    passed = answer(catalogue, b"MALWARE!", b"text/plain", **{"X-Client-IP": "192.0.2.1"})
    assert (passed.status, passed.record.verdict, passed.record.risk_score) == (204, "blocked", 0)
    assert [finding.rule_id for finding in passed.record.findings] == ["demo.malware"]
    assert answer(catalogue, b"MALWARE!", b"text/plain").record.disposition == "blocked"


def test_score_reaches_thresholds(make: Make) -> None:
    log = make("[thresholds]\nlog = 40\nblock = 41")
    assert rules_of(answer(log, JSON)) == ["demo.key", "icapd.risk-score"]
    assert answer(log, JSON).record.disposition == "redacted"
    block = make("[thresholds]\nlog = 10\nblock = 40")
    blocked = answer(block, JSON)
    assert blocked.record.disposition == "blocked"
    assert b"icapd.risk-score" in blocked.body
    assert answer(make("[thresholds]\nblock = 41"), JSON).record.disposition == "redacted"


def test_rule_on_trial_blocks_nothing_by_its_score(make: Make) -> None:
    lines = '[thresholds]\nblock = 40\n[override."demo.key"]\nmode = "monitor"'
    assert answer(make(lines), JSON).record.verdict == "redacted"
    watched = answer(make('mode = "monitor"\n[thresholds]\nblock = 40'), JSON).record
    assert (watched.verdict, watched.disposition) == ("blocked", "unmodified")


def test_body_that_flows_is_cut_by_its_score(make: Make) -> None:
    catalogue = make('[thresholds]\nblock = 40\n[override."demo.size"]\nenabled = false')
    begun = b"x " * 100_000
    outcome = adapt(catalogue, respmod_of(begun + KEY + b" " + begun, b"text/plain"), sizes=[1000] * 500)
    assert outcome.record.disposition == "cut"
    assert KEY not in outcome.body and len(outcome.body) < 2 * len(begun)


def rules_of(outcome: Outcome) -> list[str]:
    return [finding.rule_id for finding in outcome.record.findings]


BODY = '[[body]]\nname = "some"\n{}\n'


def test_type_is_blocked(make: Make) -> None:
    catalogue = make(BODY.format('media_types = ["text/x-*", "text/css"]\naction = "block"'))
    assert rules_of(answer(catalogue, b"a", b"Text/CSS; charset=utf-8")) == ["policy.some"]
    assert answer(catalogue, b"a", b"text/x-python").record.disposition == "blocked"
    assert answer(catalogue, b"a", b"text/css3").record.disposition == "unmodified"
    assert answer(catalogue, b"a", b"text/html").record.disposition == "unmodified"


def test_size_of_a_type_is_limited(make: Make) -> None:
    catalogue = make(BODY.format('media_types = ["text/csv"]\nover = 50\naction = "block"'))
    assert answer(catalogue, b"a" * 51, b"text/csv").record.disposition == "blocked"
    assert answer(catalogue, b"a" * 50, b"text/csv").record.disposition == "unmodified"
    assert answer(catalogue, b"a" * 51, b"text/plain").record.disposition == "unmodified"
    chunked = wire.respmod(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\n\r\n", wire.chunked(b"a" * 51), Allow="204"
    )
    assert adapt(catalogue, chunked).record.disposition == "blocked"


def test_body_by_policy_is_not_read_but_its_head_is(make: Make) -> None:
    catalogue = make(BODY.format('media_types = ["application/json"]\naction = "skip"'), mode="closed")
    outcome = answer(catalogue, JSON)
    assert (outcome.record.verdict, outcome.record.skip_reason) == ("allowed", "policy")
    assert answer(catalogue, JSON, b"text/plain").record.verdict == "redacted"
    larger = make(BODY.format('over = 100\naction = "skip"'))
    assert answer(larger, JSON).record.verdict == "redacted"
    assert answer(larger, JSON + b" " * 100).record.skip_reason == "policy"


def test_body_rule_can_be_overridden_in_a_scope(make: Make) -> None:
    lines = BODY.format('media_types = ["text/css"]\naction = "block"') + SCOPE.format('users = ["ann"]')
    catalogue = make(lines + '[scope.override."policy.some"]\nenabled = false\n')
    assert answer(catalogue, b"a", b"text/css").record.disposition == "blocked"
    assert answer(catalogue, b"a", b"text/css", **{"X-Client-Username": "ann"}).status == 204


def coded(catalogue: Catalogue) -> Outcome:
    return adapt(catalogue, respmod_of(b"xx", b"text/plain", b"Content-Encoding: x-odd", Allow="204"))


REMEDIES = [
    pytest.param("open", "", "unmodified", id="fail mode open"),
    pytest.param("closed", "", "blocked", id="fail mode closed"),
    pytest.param("open", 'unknown-coding = "block"', "blocked", id="blocked by policy"),
    pytest.param("closed", 'unknown-coding = "pass"', "unmodified", id="passes by policy"),
    pytest.param("closed", 'range = "pass"', "blocked", id="another reason"),
]


@pytest.mark.parametrize(("mode", "remedy", "disposition"), REMEDIES)
def test_each_reason_has_its_remedy(make: Make, mode: str, remedy: str, disposition: str) -> None:
    record = coded(make(f"[uninspected]\n{remedy}", mode=mode)).record
    assert (record.skip_reason, record.disposition) == ("unknown-coding", disposition)


def test_who_only_watches_blocks_nothing_by_policy(make: Make) -> None:
    assert (
        coded(make('mode = "monitor"\n[uninspected]\nunknown-coding = "block"')).record.disposition
        == "unmodified"
    )


def test_truncated_body_is_blocked_where_the_policy_says_so(make: Make) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 90\r\n\r\n"
    data = wire.respmod(head, wire.chunked(b"short"), Allow="204")
    assert adapt(make("", mode="closed"), data).record.disposition == "unmodified"
    record = adapt(make('[uninspected]\ntruncated = "block"'), data).record
    assert (record.disposition, record.skip_reason) == ("blocked", "truncated")


def test_overload_meets_the_policy(make: Make) -> None:
    catalogue = make(SCOPE.format('hosts = ["a"]') + '[scope.uninspected]\noverload = "block"')
    assert adapt(catalogue, request(b"x", b"a"), bypass="overload").record.disposition == "blocked"
    assert adapt(catalogue, request(b"x", b"b"), bypass="overload").record.disposition == "bypassed"


def test_request_under_way_keeps_what_it_began_with(make: Make, tmp_path: Path) -> None:
    scope = SCOPE.format('hosts = ["a"]\nmode = "monitor"')
    (tmp_path / "audit").mkdir()
    bench = Workbench(make(scope).policy, tmp_path / "audit")
    session, data = bench.session(), request(JSON, b"a")
    session.receive(data[:-20])
    bench.catalogue = make(scope.replace("monitor", "enforce"))
    session.receive(data[-20:])
    session.receive(data)
    bench.close()
    assert [record.disposition for record in bench.audit.records] == ["unmodified", "redacted"]
