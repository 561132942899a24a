"""ResponseFilter: the rules over responses (RESPMOD)."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from icapd.http.heads import ResponseHead
from icapd.inspection import Finding, Fingerprinter, InspectionLimits, Inspector
from icapd.policy import Policy
from icapd.services.examination import decode, encode, examine_message, headers_from


@dataclass(frozen=True, slots=True)
class ResponseReport:
    """What the policy makes of one response."""

    #: Whether it may pass unchanged.
    allowed: bool
    #: One line for each rule that fired.
    issues: tuple[str, ...]
    #: The body with what the rules redact taken out; the same text when they redact nothing.
    filtered_body: str = field(repr=False)
    #: The sum of the scores of these rules.
    risk_score: int
    findings: tuple[Finding, ...]


class ResponseFilter:
    """Filters responses by a policy."""

    def __init__(
        self,
        policy: Policy,
        fingerprinter: Fingerprinter | None = None,
        limits: InspectionLimits = InspectionLimits(),
    ) -> None:
        """Without a `fingerprinter`, fingerprints are comparable within this object only."""
        self.policy = policy
        self.inspector = Inspector(policy.response, fingerprinter or Fingerprinter.ephemeral(), limits)

    def filter_response(self, headers: Mapping[str, str], body: str) -> ResponseReport:
        """The report on a response whose body is text. Raises ScanTimeout when a rule takes too long."""
        head = ResponseHead(200, headers=headers_from(headers))
        text = encode(body)
        examination = examine_message(self.inspector, head, None, text)
        return ResponseReport(
            examination.may_pass,
            examination.issues(self.policy.response),
            body if examination.text is text else decode(examination.text),
            examination.risk_score,
            examination.findings,
        )
