"""What sessions share, and what they leave to others."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from icapd.audit import AuditRecord, AuditWriter, Phase
from icapd.errors import AuditError
from icapd.icap import Reply
from icapd.icap.limits import CodecLimits
from icapd.server.telemetry.internal_error import log_internal_error
from icapd.server.telemetry.metrics import Metrics
from icapd.services.adaptation import Adaptation
from icapd.services.answers import Step, Work
from icapd.services.body_memory import BodyMemory
from icapd.services.catalogue import Catalogue

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class SessionContext:
    """What all sessions of a server share."""

    #: The live services; a transaction keeps those that it began with.
    catalogue: Callable[[], Catalogue]
    audit: AuditWriter
    #: Whether a message whose record can't be written is blocked.
    blocks_unrecorded: bool
    codec_limits: CodecLimits
    metrics: Metrics
    #: What all bodies that are held back take together.
    memory: BodyMemory
    #: Seconds that one connection's bytes are looked at without a pause.
    patience: float = 0.01
    #: Whether there is more work than can be done in time: what begins now meets the fail mode.
    is_overloaded: Callable[[], bool] = lambda: False
    #: Is told of each transaction once it is over; must not raise, nor take time.
    over: Callable[[Adaptation], None] = lambda _: None

    def note_recorded(self, phase: Phase, record: AuditRecord, scope: str) -> None:
        """A record is durable; or the policy, by this scope of it, wants none."""
        if phase != "open":
            self.metrics.observe(record)
        if phase in ("omit", "drop"):
            self.audit.count_omitted(scope)

    def note_unrecorded(self, record: AuditRecord, error: Exception) -> None:
        """A record could not be made durable, by a fault of the database or by a defect of ours."""
        self.metrics.audit_failures.inc()
        if isinstance(error, AuditError):
            log.error("audit-failed", txn_id=record.txn_id, error=str(error))
        else:
            log_internal_error(error, record.txn_id)


class Apart:
    """Work that takes long, on its way through a thread where nobody waits for it."""

    def __init__(self, work: Work, rest: Sequence[Step]) -> None:
        """`rest`: the steps behind it."""
        self._work = work
        self._rest = rest
        self._outcome: list[Step] | Exception = []
        #: Nanoseconds that it took.
        self.took = 0
        #: Whether what it comes to is not wanted any more: the message could not be recorded.
        self.is_in_vain = False

    def run(self) -> None:
        """Do it, in any thread; while it runs nobody else touches its adaptation."""
        began = time.perf_counter_ns()
        try:
            self._outcome = self._work.run()
        except Exception as error:
            self._outcome = error
        self.took = time.perf_counter_ns() - began

    def steps(self) -> list[Step]:
        """What is to be done now that it is done; raises what it raised."""
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return [*self._outcome, *self._rest]


@dataclass(slots=True)
class Pending:
    """A record that must be durable before the replies behind it leave.

    An `open` one takes what the same bytes still bring: findings, replies, maybe the message's end.
    """

    phase: Phase
    record: AuditRecord
    #: Of the policy.
    scope: str
    replies: list[Reply]
    #: perf_counter_ns.
    since: int
