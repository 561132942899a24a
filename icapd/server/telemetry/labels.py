"""All labels of all metrics, and the closed set of values that each can have.

No label holds anything a user sent: a value that is not of its set is counted as `other`. The one open set,
that of the rules, is closed by the packs: an operator wrote their ids, whose form is checked at loading.
"""

from typing import get_args

from icapd.audit import Disposition
from icapd.audit.record import IcapMethod, Verdict
from icapd.server.control.supervision import WorkerState

#: What a value becomes that is not of its label's set.
OTHER = "other"

#: Why a message was not, or not wholly, inspected: the words of docs/audit.md.
SKIP_REASONS = frozenset(
    {
        "bad-coding",
        "budget",
        "charset",
        "client-gone",
        "coding-ratio",
        "decoded-size",
        "head-fields",
        "internal-error",
        "media-type",
        "no-rules",
        "overload",
        "oversize",
        "policy",
        "protocol-error",
        "range",
        "server-stopped",
        "timeout",
        "truncated",
        "unknown-coding",
        "unrecorded",
        "upgrade",
    }
)

#: Parts of a transaction that are timed by themselves.
STAGES = ("head", "body", "audit")

#: How the attempt to take changed rules ended.
RELOAD_RESULTS = ("taken", "refused")

#: Of the policy's exceptions: `ending` ones are active as well.
EXPIRIES = ("active", "ending", "expired")

#: Why a shadow policy did not judge a message: its body was not held back whole, there was no time for it, or
#: a defect of icapd.
SHADOW_CAUSES = ("not-held", "busy", "failed")

CLOSED: dict[str, frozenset[str]] = {
    "method": frozenset(get_args(IcapMethod)),
    "verdict": frozenset(get_args(Verdict)),
    "disposition": frozenset(get_args(Disposition)),
    "reason": SKIP_REASONS,
    "stage": frozenset(STAGES),
    "expiry": frozenset(EXPIRIES),
    "live": frozenset(get_args(Verdict)),
    "shadow": frozenset(get_args(Verdict)),
    "cause": frozenset(SHADOW_CAUSES),
    "result": frozenset(RELOAD_RESULTS),
    "state": frozenset(get_args(WorkerState)),
    "status": frozenset({"400", "404", "405", "408", "413", "414", "431", "500", "501", "503", "505"}),
}

#: Labels whose values come from the rule packs.
FROM_PACKS = frozenset({"rule"})


def closed(names: tuple[str, ...], values: tuple[str, ...]) -> tuple[str, ...]:
    """The values, those that are not of their label's set replaced by `other`."""
    return tuple(
        value if name in FROM_PACKS or value in CLOSED[name] else OTHER
        for name, value in zip(names, values, strict=True)
    )
