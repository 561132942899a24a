"""Rule files become one immutable `Policy`; `RuleSet.scan` is the seam through which all matching goes."""

from icapd.configuration import default_rules_directory
from icapd.policy.audit_levels import KEPT, AuditLevel
from icapd.policy.facts import Direction, Facts, facts_of
from icapd.policy.loading import load_policy
from icapd.policy.masks import REDACTED, REPLACEMENT, Mask, mask_of
from icapd.policy.matching import CompiledRule, Match
from icapd.policy.policy import Policy
from icapd.policy.profiles import Profile
from icapd.policy.proofs import Failure, Proof, prove
from icapd.policy.rule import MAGIC_SIZE, SEVERITIES, Action, Mode, Rule, Severity
from icapd.policy.ruleset import SCAN_TIMEOUT, RuleSet
from icapd.policy.store import PolicyStore
from icapd.policy.uninspected import BY_POLICY

__all__ = [
    "BY_POLICY",
    "KEPT",
    "MAGIC_SIZE",
    "REDACTED",
    "REPLACEMENT",
    "SCAN_TIMEOUT",
    "SEVERITIES",
    "Action",
    "AuditLevel",
    "CompiledRule",
    "Direction",
    "Facts",
    "Failure",
    "Mask",
    "Match",
    "Mode",
    "Policy",
    "PolicyStore",
    "Profile",
    "Proof",
    "Rule",
    "RuleSet",
    "Severity",
    "default_rules_directory",
    "facts_of",
    "load_policy",
    "mask_of",
    "prove",
]
