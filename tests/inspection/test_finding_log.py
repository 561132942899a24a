"""Findings can be kept: nothing in them gives the secret away, and none that counts gets lost."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inspecting import JSON, inspector, policy, rule

from icapd.inspection import Fingerprinter, mask
from icapd.inspection.reading import Reading
from icapd.policy import Action

SECRET = "KEY-ABCDEF123456"
KEY = rule("key", "KEY-[A-Z0-9]{12}", SECRET)
XS = (rule("x", "x", "x"),)


@pytest.mark.parametrize(
    ("secret", "excerpt"),
    [
        pytest.param(b"", "", id="nothing"),
        pytest.param(b"hunter2", "***", id="short"),
        pytest.param(b"12345678901", "***", id="eleven"),
        pytest.param(b"123456789012", "123***", id="twelve"),
        pytest.param(b"ghp_0123456789abcdef", "ghp_***f", id="twenty"),
        pytest.param(b"4111111111111111", "4111***", id="payment-card"),
        pytest.param(b"a" * 1000, "aaaa***aaaa", id="long"),
        pytest.param(b"\x00\n\xc3\xa9" * 8, "....***....", id="no-printable-ascii"),
    ],
)
def test_a_masked_secret_is_recognised_but_not_told(secret: bytes, excerpt: str) -> None:
    assert mask(secret) == excerpt


@given(st.binary(max_size=200))
def test_at_most_a_quarter_is_shown(secret: bytes) -> None:
    excerpt = mask(secret)
    assert excerpt.isascii()
    assert excerpt.isprintable()
    assert len(excerpt.replace("***", "", 1)) * 4 <= len(secret)


def test_fingerprints_compare_under_one_key() -> None:
    one, other = Fingerprinter(b"one"), Fingerprinter(b"other")
    assert one.fingerprint(b"secret") == Fingerprinter(b"one").fingerprint(b"secret")
    assert one.fingerprint(b"secret") != one.fingerprint(b"Secret")
    assert one.fingerprint(b"secret") != other.fingerprint(b"secret")
    key_id, digest = one.fingerprint(b"secret").split("-")
    assert (key_id, len(bytes.fromhex(key_id)), len(bytes.fromhex(digest))) == (one.key_id, 4, 16)
    assert digest.startswith(one.tag(b"secret"))
    assert one.key_id == Fingerprinter(b"one").key_id != other.key_id
    assert "one" not in repr(one)


def test_ephemeral_keys_differ() -> None:
    first, second = Fingerprinter.ephemeral(), Fingerprinter.ephemeral()
    assert first.fingerprint(b"secret") != second.fingerprint(b"secret")


def test_no_repr_shows_the_secret(tmp_path: Path) -> None:
    inspecting = inspector(policy(tmp_path, KEY))
    inspection = inspecting.inspect_body(f'{{"k": "{SECRET}"}}'.encode(), JSON)
    assert len(inspection.findings) == 1
    assert SECRET[6:] not in repr(inspection)
    assert SECRET[6:] not in repr(inspecting.inspect_url(SECRET.encode()))
    reading = Reading(margin=0)
    reading.extend(SECRET.encode(), is_last=True)
    scan, _ = reading.scan(inspecting.rules, len(SECRET), 1.0, None)
    assert scan.matches
    assert SECRET[6:] not in repr(scan)


def test_a_finding_says_what_and_where(tmp_path: Path) -> None:
    inspecting = inspector(policy(tmp_path, KEY.replace('severity = "low"', 'severity = "high"\nscore = 40')))
    (finding,) = inspecting.inspect_body(f'{{"k": "{SECRET}"}}'.encode(), JSON).findings
    assert (finding.rule_id, finding.severity, finding.score) == ("test.key", "high", 40)
    assert (finding.action, finding.enforced, finding.target) == (Action.REDACT, True, "body")
    assert (finding.start, finding.end) == (7, 7 + len(SECRET))
    assert finding.excerpt == "KEY-***"
    assert finding.fingerprint == Fingerprinter(b"key").fingerprint(SECRET.encode())


def test_repeated_findings_are_counted_out_but_redacted(tmp_path: Path) -> None:
    inspecting = inspector(policy(tmp_path, *XS, rule("y", "y", "y", action="block")), max_findings=3)
    inspection = inspecting.inspect_body(b"x " * 10 + b"y y", JSON)
    assert [finding.rule_id for finding in inspection.findings] == ["test.x"] * 3 + ["test.y"]
    assert inspection.truncated_findings
    assert b"x" not in inspection.text


def test_as_many_findings_as_the_limit_are_all(tmp_path: Path) -> None:
    inspecting = inspector(policy(tmp_path, *XS), max_findings=3)
    assert not inspecting.inspect_body(b"x x x", JSON).truncated_findings
