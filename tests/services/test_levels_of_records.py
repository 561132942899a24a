"""What of a message is in its record, by the level that the policy names; and which have none."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from support.adapting import adapt, catalogue_of, respmod_of
from support.policies import KEY, RULES
from support.sessions import plain

from icapd.audit import AuditRecord
from icapd.policy import KEPT, AuditLevel, load_policy
from icapd.services.catalogue import Catalogue

JSON = b'{"key": "%b"}' % KEY


@pytest.fixture(scope="module")
def catalogues(tmp_path_factory: pytest.TempPathFactory) -> dict[AuditLevel, Catalogue]:
    """The services of the demonstration pack, by level."""

    def made(directory: Path, level: AuditLevel) -> Catalogue:
        (directory / "demo.toml").write_text(RULES)
        (directory / "policy.toml").write_text(f'audit = "{level}"\npacks = ["demo"]\n')
        return catalogue_of(load_policy(directory))

    return {level: made(tmp_path_factory.mktemp(level), level) for level in KEPT}


def redacted(catalogue: Catalogue) -> AuditRecord:
    names = {"X-Client-Username": "Ann", "X-Client-IP": "192.0.2.7"}
    record = adapt(catalogue, respmod_of(JSON, Allow="204", **names)).record
    # What differs from one transaction to the next.
    return replace(record, event_id="", txn_id="", policy_digest="", latency_us=0)


def test_full_is_the_whole_record(catalogues: dict[AuditLevel, Catalogue]) -> None:
    record = redacted(catalogues["full"])
    assert (record.path, record.client_user, record.client_ip) == ("/items?page=*", "Ann", "192.0.2.7")
    assert record.findings[0].excerpt and record.findings[0].fingerprint


@pytest.mark.parametrize(
    ("level", "left_out", "of_findings"),
    [
        pytest.param("findings", {"path": None}, {"excerpt": ""}, id="findings"),
        *(
            pytest.param(
                level,
                {"path": None, "client_user": None},
                {"excerpt": "", "fingerprint": ""},
                id=level,
            )
            for level in ("metadata", "none")
        ),
    ],
)
def test_what_a_level_leaves_out(
    catalogues: dict[AuditLevel, Catalogue],
    level: AuditLevel,
    left_out: dict[str, None],
    of_findings: dict[str, str],
) -> None:
    full = redacted(catalogues["full"])
    findings = tuple(replace(finding, **of_findings) for finding in full.findings)
    assert redacted(catalogues[level]) == replace(full, **left_out, findings=findings)  # type: ignore[arg-type]


@pytest.mark.parametrize("unit", [b"{}", JSON, b"NOTE-ME", b"MALWARE!"])
@pytest.mark.parametrize("times", [1, 700])
@pytest.mark.parametrize("content_type", [b"application/json", b"text/plain", b"image/png"])
@pytest.mark.parametrize("coding", [(), (b"Content-Encoding: gzip",), (b"Content-Encoding: x-own",)])
def test_level_changes_no_reply_and_hides_no_verdict(
    catalogues: dict[AuditLevel, Catalogue],
    unit: bytes,
    times: int,
    content_type: bytes,
    coding: tuple[bytes, ...],
) -> None:
    outcomes = {
        level: adapt(catalogue, respmod_of(unit * times, content_type, *coding, Allow="204"))
        for level, catalogue in catalogues.items()
    }
    full = outcomes["full"]
    for outcome in outcomes.values():
        # The ISTag stands for the policy, which is another one.
        istags = (re.search(rb'ISTag: "(.*?)"', one.sent) for one in (outcome, full))
        of_this, of_full = (found[1] for found in istags if found)
        assert plain(outcome.sent).replace(of_this, of_full) == plain(full.sent)
        same = ("verdict", "disposition", "inspection", "skip_reason", "risk_score", "host", "response_bytes")
        assert [getattr(outcome.record, name) for name in same] == [
            getattr(full.record, name) for name in same
        ]
        assert [finding.rule_id for finding in outcome.record.findings] == [
            finding.rule_id for finding in full.record.findings
        ]
