"""Makes what a worker tells of the policy that it has loaded."""

from datetime import UTC, datetime

from icapd.audit.storable import fit_text
from icapd.policy.expiry import NOTICE, expiry_of
from icapd.server.equipment import Prepared
from icapd.server.supervision.policy_state import PolicyState

#: Lines about exceptions that are told, and characters of each: a message has a limit.
_MAX_LINES, _MAX_LINE = 20, 200
#: Characters of what is wrong with a candidate.
_MAX_PROBLEM = 1000


def state_of(prepared: Prepared) -> PolicyState:
    """The state of what was loaded just now."""
    policy, candidate = prepared.policy, prepared.candidate
    expiry = expiry_of(policy, datetime.now(UTC).date())
    return PolicyState(
        policy.digest,
        tuple(sorted(live.ends for live in policy.exceptions)),
        len(policy.expired),
        tuple(fit_text(line, _MAX_LINE) for line in expiry.lines[:_MAX_LINES]),
        candidate.policy.digest if candidate else "",
        fit_text(prepared.shadow_problem, _MAX_PROBLEM),
        prepared.key_id,
        NOTICE.total_seconds(),
    )
