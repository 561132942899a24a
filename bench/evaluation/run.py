"""Runs cases through the inspectors that serve traffic, with the rules as they are shipped."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from bench.evaluation.case import Case
from icapd.http.heads import RequestHead
from icapd.inspection import Fingerprinter, InspectionLimits, Inspector
from icapd.policy import Action, default_rules_directory, load_policy
from icapd.services.examination import examine_head
from icapd.services.offline import Message, examine

#: Seconds. What is judged is the rules, not how busy the machine is.
_SCAN_TIMEOUT = 30.0
#: What the ids of rules on credentials begin with.
_CREDENTIALS = "credentials."


@dataclass(frozen=True, slots=True)
class Outcome:
    """A case, and what became of it."""

    case: Case
    #: The body as it leaves; the same object as the case's when nothing changed.
    body: bytes = field(repr=False)
    #: The request target as it leaves.
    url: bytes
    #: Rules that fired, in order.
    rules: tuple[str, ...]
    #: Those of them that block.
    blocking: tuple[str, ...]

    @property
    def blocked(self) -> bool:
        return bool(self.blocking)

    @property
    def blocked_by_credentials(self) -> bool:
        return any(rule.startswith(_CREDENTIALS) for rule in self.blocking)

    @property
    def changed(self) -> bool:
        return self.body != self.case.body or self.url != self.case.url


def outcomes(cases: Iterable[Case]) -> Iterator[Outcome]:
    """What becomes of each case, in their order."""
    policy = load_policy(default_rules_directory())
    fingerprinter, limits = Fingerprinter.ephemeral(), InspectionLimits(scan_timeout=_SCAN_TIMEOUT)
    inspectors = {
        "request": Inspector(policy.request, fingerprinter, limits),
        "response": Inspector(policy.response, fingerprinter, limits),
    }
    for case in cases:
        yield _outcome(case, inspectors[case.direction])


def _outcome(case: Case, inspector: Inspector) -> Outcome:
    message = Message(case.direction, case.method, case.url, case.headers, case.body)
    examination = examine(message, inspector)
    url = case.url
    if case.direction == "request":
        request = RequestHead(case.method, case.url, headers=case.headers)
        head = examine_head(inspector, request, request).head
        assert isinstance(head, RequestHead)
        url = head.target
    findings = examination.findings
    return Outcome(
        case,
        examination.text,
        url,
        tuple(dict.fromkeys(finding.rule_id for finding in findings)),
        tuple(
            dict.fromkeys(
                finding.rule_id for finding in findings if finding.enforced and finding.action is Action.BLOCK
            )
        ),
    )
