"""Rule files become one immutable `Policy`; `RuleSet.scan` is the seam through which all matching goes."""

from icapd.policy.loading import default_rules_directory, load_policy
from icapd.policy.masks import REDACTED, REPLACEMENT, Mask, mask_of
from icapd.policy.matching import CompiledRule, Match
from icapd.policy.policy import Policy
from icapd.policy.proofs import Failure, Proof, prove
from icapd.policy.rule import MAGIC_SIZE, SEVERITIES, Action, Mode, Rule, Severity
from icapd.policy.ruleset import SCAN_TIMEOUT, RuleSet
from icapd.policy.store import PolicyStore

__all__ = [
    "MAGIC_SIZE",
    "REDACTED",
    "REPLACEMENT",
    "SCAN_TIMEOUT",
    "SEVERITIES",
    "Action",
    "CompiledRule",
    "Failure",
    "Mask",
    "Match",
    "Mode",
    "Policy",
    "PolicyStore",
    "Proof",
    "Rule",
    "RuleSet",
    "Severity",
    "default_rules_directory",
    "load_policy",
    "mask_of",
    "prove",
]
