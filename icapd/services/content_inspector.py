"""ContentInspector: the rules over requests (REQMOD)."""

from collections.abc import Mapping
from dataclasses import dataclass

from icapd.http.heads import RequestHead
from icapd.inspection import Finding, Fingerprinter, InspectionLimits, Inspector
from icapd.policy import Policy
from icapd.services.examination import encode, examine_message, headers_from


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
        examination = examine_message(self.inspector, head, head, encode(body or ""))
        return RequestReport(
            examination.may_pass,
            examination.issues(self.policy.request),
            examination.risk_score,
            examination.findings,
        )
