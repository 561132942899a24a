"""ContentInspector: the rules over requests (REQMOD)."""

from collections.abc import Mapping
from dataclasses import dataclass

from icapd.http.heads import RequestHead
from icapd.http.media_types import MediaType
from icapd.inspection import Finding, Fingerprinter, InspectionLimits, Inspector
from icapd.policy import Policy
from icapd.services.examination import (
    encode,
    examine_head,
    examine_text,
    headers_from,
    issues_of,
    may_pass,
    risk_score,
    size_findings,
)


@dataclass(frozen=True, slots=True)
class RequestReport:
    """What the policy makes of one request."""

    #: Whether it may pass unchanged.
    allowed: bool
    #: One line for each rule that fired.
    issues: tuple[str, ...]
    #: The sum of the scores of these rules.
    risk_score: int
    findings: tuple[Finding, ...]


class ContentInspector:
    """Inspects requests by a policy."""

    def __init__(
        self,
        policy: Policy,
        fingerprinter: Fingerprinter | None = None,
        limits: InspectionLimits = InspectionLimits(),
    ) -> None:
        """Without a `fingerprinter`, fingerprints are comparable within this object only."""
        self.policy = policy
        self.inspector = Inspector(policy.request, fingerprinter or Fingerprinter.ephemeral(), limits)

    def inspect_request(
        self, method: str, url: str, headers: Mapping[str, str], body: str | None = None
    ) -> RequestReport:
        """The report on a request whose body is text. Raises ScanTimeout when a rule takes too long."""
        head = RequestHead(encode(method), encode(url), headers=headers_from(headers))
        text = encode(body or "")
        findings = list(examine_head(self.inspector, head, head).findings)
        media_type = MediaType.parse(head.headers.get(b"content-type"))
        findings += examine_text(self.inspector, text, media_type).findings
        findings += size_findings(self.policy.request.scan_size(len(text), text))
        issues = issues_of(findings, self.policy.request.rules)
        return RequestReport(may_pass(findings), issues, risk_score(findings), tuple(findings))
