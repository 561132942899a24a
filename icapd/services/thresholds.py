"""The thresholds of a policy: what a message's risk score as a whole comes to."""

from icapd.inspection import Finding
from icapd.policy import Action, Profile
from icapd.services.examination import risk_score

#: The rule that no pack holds: the scores of those that fired have reached a threshold.
RISK_SCORE = "icapd.risk-score"


def judged(findings: list[Finding], profile: Profile) -> None:
    """Add the finding that a threshold makes of the others, where it is graver than it was.

    What only watches counts where all only watch, so that a rule on trial blocks nothing by its score.
    """
    thresholds = profile.thresholds
    if not findings or (thresholds.log is None and thresholds.block is None):
        return
    enforced = profile.mode == "enforce"
    score = risk_score(finding for finding in findings if finding.enforced or not enforced)
    action = Action.ALLOW
    if thresholds.log is not None and score >= thresholds.log:
        action = Action.LOG
    if thresholds.block is not None and score >= thresholds.block:
        action = Action.BLOCK
    known = [finding.action for finding in findings if finding.rule_id == RISK_SCORE]
    if action > max(known, default=Action.ALLOW):
        findings.append(
            Finding(
                rule_id=RISK_SCORE,
                severity="high" if action is Action.BLOCK else "medium",
                action=action,
                enforced=enforced,
                target="message",
                start=0,
                end=0,
                excerpt="",
                fingerprint="",
                score=0,
            )
        )
