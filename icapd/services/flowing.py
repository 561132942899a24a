"""A message on its way to the client while its body still arrives: the plan STREAM, and echoes."""

from collections.abc import Callable
from functools import partial

from icapd.audit import Inspection
from icapd.errors import CodingError, OutOfPatience, ScanTimeout
from icapd.http.codings import KiB
from icapd.http.headers import Headers
from icapd.http.heads import MessageHead
from icapd.icap import AdaptedData
from icapd.policy import Action, RuleSet
from icapd.services import answers
from icapd.services.answers import AdaptationOptions, Record, Step
from icapd.services.buffered import reason_of
from icapd.services.examination import size_findings
from icapd.services.flow import Echo, Flow
from icapd.services.transaction import Transaction

#: Bytes of a body behind which its reply begins, even if nothing of it may leave: a rule that looks far holds
#: much back, and Debian's Squids read no more than 64 KiB of a response before ours begins (bug 5352).
MAX_UNBEGUN = 48 * KiB


class FlowingMessage:
    """Turns a flow into steps, and keeps the record of it ahead of what the client sees."""

    def __init__(
        self,
        transaction: Transaction,
        head: MessageHead,
        flow: Flow,
        rules: RuleSet,
        options: AdaptationOptions,
        *,
        has_size: bool,
    ) -> None:
        """`has_size`: the head announced it, and with the head it was looked at."""
        self._transaction = transaction
        self._unsent: MessageHead | None = head
        self._options = options
        self._flow = flow
        self._rules = rules
        self._has_size = has_size
        self._noted_findings = 0
        self.is_done = False
        #: Whether it has taken too long once. From then on it takes its time.
        self.is_slow = False
        # What was not brought to its end when it did.
        self._unfinished: Callable[[], list[Step]] | None = None

    @property
    def has_begun(self) -> bool:
        """Whether the client has something of it. Until then it may still get another message instead."""
        return self._unsent is None

    def begin(self) -> list[Step]:
        """The head."""
        assert self._unsent is not None
        head, self._unsent = self._unsent, None
        return answers.flow_begins(self._transaction, self._options, head)

    def resume(self) -> list[Step]:
        """Go on, with patience, where OutOfPatience was raised."""
        assert self._unfinished is not None
        return self._unfinished()

    def _be_patient(self, unfinished: Callable[[], list[Step]]) -> None:
        self.is_slow, self._unfinished = True, unfinished
        self._flow.be_patient()

    def feed(self, data: bytes) -> list[Step]:
        """The next piece of the body; the head goes with the first bytes that leave.

        Raises OutOfPatience, once, where it takes long: then it is to `resume`.
        """
        try:
            out = self._flow.feed(data)
        except OutOfPatience:
            self._be_patient(partial(self.feed, b""))
            raise
        except (CodingError, ScanTimeout) as error:
            if self._must_cut(reason_of(error)):
                return self.cut("partial", reason_of(error))
            out, has_new = self._flow.unread(), self._pass_unread(reason_of(error))
        else:
            has_new = self._note_new_findings()
        if self._flow.cut or self._outgrows_a_limit() or (has_new and self._transaction.must_block):
            self._transaction.disposition = "cut"
            return self._end(out)
        steps: list[Step] = []
        if not self.has_begun:
            must_begin = self._transaction.body_bytes >= MAX_UNBEGUN
            steps = self.begin() if out or must_begin else []
        elif has_new:
            # A redaction that a client can see has its record, even if the server dies in mid-stream.
            steps = [Record("open")]
        return [*steps, AdaptedData(out)] if out else steps

    def finish(self, trailers: Headers) -> list[Step]:
        """The body has ended; its trailers go on where its bytes did as they came.

        Raises OutOfPatience as `feed`.
        """
        out = b""
        try:
            out = self._flow.finish()
        except OutOfPatience:
            self._be_patient(partial(self.finish, trailers))
            raise
        except (CodingError, ScanTimeout) as error:
            if self._must_cut(reason_of(error)):
                return self.cut("partial", reason_of(error))
            self._pass_unread(reason_of(error))
            out = b""
        self._note_new_findings()
        # A rule may have found something in the trailers, which is all that has not left yet.
        is_cut = self._flow.cut or self._transaction.must_block
        if is_cut:
            self._transaction.disposition = "cut"
        return self._end(out, Headers() if is_cut or self._flow.changes else trailers)

    def _must_cut(self, reason: str) -> bool:
        """Whether what can't be read must not go on: a rule in force might have changed it, or it is to be
        blocked."""
        fails_closed = self._options.blocks_uninspected
        return self._flow.may_change or self._transaction.profile.blocks(reason, fails_closed)

    def _pass_unread(self, reason: str) -> bool:
        """Let what follows go on as it comes, as if it had been read; whether there are new findings."""
        has_new = self._note_new_findings()
        self._transaction.mark("partial", reason)
        self._transaction.disposition = "bypassed"
        self._flow, self._noted_findings = Echo(), 0
        return has_new

    def cut(self, inspection: Inspection, reason: str) -> list[Step]:
        """End here: what follows can't be inspected, so it does not go on."""
        self._transaction.mark(inspection, reason)
        self._transaction.disposition = "cut"
        return self._end(b"")

    def _end(self, data: bytes, trailers: Headers = Headers()) -> list[Step]:
        self.is_done = True
        if self._unsent is not None:
            return answers.adapted(self._transaction, self._options, self._unsent, data, trailers)
        return answers.flow_ends(self._transaction, self._options, data, trailers)

    def _note_new_findings(self) -> bool:
        """Whether there are any."""
        if self._flow.leaves_unread:
            self._transaction.mark("partial", "oversize")
        new = self._flow.findings[self._noted_findings :]
        if not new:
            return False
        self._noted_findings += len(new)
        self._transaction.add_findings(new)
        if any(finding.enforced and finding.action is Action.REDACT for finding in new):
            self._transaction.disposition = "redacted"
        return True

    def _outgrows_a_limit(self) -> bool:
        """Whether the body has become larger than a rule in force allows."""
        if self._has_size:
            return False
        known = {finding.rule_id for finding in self._transaction.findings}
        fired = self._rules.scan_size(self._transaction.body_bytes, None)
        new = size_findings(rule for rule in fired if rule.id not in known)
        self._transaction.add_findings(new)
        return any(finding.enforced and finding.action is Action.BLOCK for finding in new)
