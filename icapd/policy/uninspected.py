"""What becomes of a message that can't be inspected, or not whole: the [uninspected] table of a policy."""

from typing import Literal

Remedy = Literal["pass", "block"]

#: The reasons that a policy may decide about, each in the word of the audit row's `skip_reason`. Others leave
#: nothing to decide: `head-fields` always blocks, and what broke off has no verdict.
REASONS = (
    "bad-coding",
    "budget",
    "charset",
    "coding-ratio",
    "internal-error",
    "overload",
    "oversize",
    "range",
    "truncated",
    "unknown-coding",
    "upgrade",
)
#: The reason of what a policy itself leaves out.
BY_POLICY = "policy"
