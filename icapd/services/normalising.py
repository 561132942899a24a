"""Requests that would blind the inspection of their responses."""

from icapd.audit import Disposition
from icapd.http.heads import MessageHead, RequestHead
from icapd.http.normalising import Normalisation, normalised
from icapd.icap import Method
from icapd.inspection import Finding
from icapd.policy import Action
from icapd.services.transaction import Transaction

#: The rule that no pack holds: a request asked for an answer that could not be read.
NORMALISED_REQUEST = "icapd.normalised-request"


def normalised_head(head: MessageHead, transaction: Transaction, wanted: Normalisation) -> MessageHead:
    """The head to go on with: the same one where nothing had to change, else with a finding for each field.

    Nothing has to where no rule in force reads responses; nor of a CONNECT, which is for the proxy.
    """
    if not isinstance(head, RequestHead) or transaction.request.method is not Method.REQMOD:
        return head
    headers, changed = normalised(head, wanted)
    if not changed or head.method == b"CONNECT":
        return head
    if not any(rule.enforced for rule in transaction.policy.response.body_rules):
        return head
    transaction.add_findings([_finding(name) for name in changed])
    return head.with_headers(headers)


def of_changed_head(transaction: Transaction) -> Disposition:
    """What was done to a message that goes on with its own body and another head, or without its trailers."""
    findings = transaction.findings
    redacts = any(finding.enforced and finding.action is Action.REDACT for finding in findings)
    normalises = any(finding.rule_id == NORMALISED_REQUEST for finding in findings)
    return "normalised" if normalises and not redacts else "redacted"


def _finding(name: bytes) -> Finding:
    return Finding(
        rule_id=NORMALISED_REQUEST,
        severity="info",
        action=Action.ALLOW,
        enforced=True,
        target=f"header:{name.decode()}",
        start=0,
        end=0,
        excerpt="",
        fingerprint="",
        score=0,
    )
