"""One REQMOD or RESPMOD transaction, from its heads to its verdict: events in, steps out.

    head --> preview --> plan --> SKIP: let it pass
                              --> BUFFER: hold it back, inspect it whole, then let pass, redact or block
                              --> STREAM: let it flow through the inspection

Nothing here waits, sends or stores. A step is a reply for the codec, or a Record for the audit trail, and
the caller carries them out in order: so a record is durable before the reply behind it leaves.
"""

from dataclasses import dataclass
from enum import Enum, auto

from icapd.errors import ScanTimeout
from icapd.http.adapted import changed_head
from icapd.http.heads import MessageHead
from icapd.icap import AdaptedEnd, BodyData, BodyEnd, Continue, Method, PreviewEnd, Reply
from icapd.inspection import Inspector
from icapd.policy import Action
from icapd.services import answers, block_page
from icapd.services.answers import Record, Step
from icapd.services.body_plan import BodyPlan, PlanKind, content_length, plan_body
from icapd.services.buffered import read_buffered, reason_of, sample_is_readable
from icapd.services.examination import examine_head, size_findings
from icapd.services.flow import Echo, Flow, Inspected, Watched
from icapd.services.flowing import FlowingMessage
from icapd.services.transaction import Transaction


@dataclass(frozen=True, slots=True)
class AdaptationOptions:
    """What the settings say about adaptations of one service."""

    max_buffered_body: int
    #: Whether a message that can't be inspected is blocked (fail mode `closed`).
    blocks_uninspected: bool
    contact: str = ""


class _Phase(Enum):
    PREVIEW = auto()
    BUFFERING = auto()
    FLOWING = auto()
    DONE = auto()


class Adaptation:
    """The state machine of one transaction."""

    def __init__(self, transaction: Transaction, inspector: Inspector, options: AdaptationOptions) -> None:
        self.transaction = transaction
        self._request = transaction.request
        self._inspector = inspector
        self._options = options
        self._subject = "request" if self._request.method is Method.REQMOD else "response"
        self._virgin = answers.virgin_head(self._request)
        self._head = self._virgin
        self._received = bytearray()
        self._plan: BodyPlan | None = None
        self._flowing: FlowingMessage | None = None
        self._paused = False  # at the end of a preview that was not the whole body
        self._continued = False
        self._phase = _Phase.PREVIEW

    @property
    def is_done(self) -> bool:
        return self._phase is _Phase.DONE

    def begin(self) -> list[Step]:
        """What the heads alone decide. A body that comes with a preview is waited for that far."""
        try:
            examination = examine_head(self._inspector, self._virgin, self._request.request_head)
        except ScanTimeout as error:
            self.transaction.mark("partial", reason_of(error))
            if self._options.blocks_uninspected:
                return self._block_uninspected()
        else:
            self._head = examination.head
            self.transaction.add_findings(examination.findings)
        length = content_length(self._virgin)
        if length is not None and self._request.has_body:
            self.transaction.add_findings(size_findings(self._inspector.rules.scan_size(length, None)))
        if answers.is_upgrade(self._virgin):
            # Frames of a WebSocket pass the proxy in a tunnel: this request is all that is ever seen.
            self.transaction.mark("partial", "upgrade")
            if self._options.blocks_uninspected:
                return self._block_uninspected()
        if not self._request.has_body:
            return self._block_by_rules() if self.transaction.must_block else self._pass_whole(b"")
        if self.transaction.must_block and self._request.preview is None:
            return self._block_by_rules()
        return []

    def handle(self, event: BodyData | PreviewEnd | BodyEnd) -> list[Step]:
        """The next piece of the body, or its end."""
        match event:
            case BodyData(data):
                return self._on_data(data)
            case PreviewEnd(complete=False):
                self._paused = True
                return self._decide()
            case PreviewEnd():
                return []
            case BodyEnd():
                return self._on_end()

    def abandon(self, reason: str) -> list[Record]:
        """The peer is gone, or the server stops: the record of what was seen, with no reply behind it."""
        if self.is_done:
            return []
        self.transaction.mark("partial", reason)
        began = self._phase is _Phase.FLOWING
        self.transaction.disposition = "cut" if began else "failed"
        self._phase = _Phase.DONE
        return [Record("close" if began else "final")]

    def fail(self, mid_response: bool) -> list[Step]:
        """A defect of ours: the message passes or is blocked by the fail mode, if it still can pass.

        `mid_response`: the head of the message has been sent.
        """
        if self._flowing is not None and mid_response:
            return self._done(self._flowing.cut("error", "internal-error"))
        self.transaction.mark("error", "internal-error")
        if self._options.blocks_uninspected or not self._may_answer_204:
            return self._block_uninspected()
        self.transaction.disposition = "bypassed"
        return self._done(answers.unmodified(self.transaction))

    def record_failed(self, mid_response: bool) -> list[Reply]:
        """What takes the place of the steps behind a record that could not be written.

        `mid_response`: the head of the message has been sent.
        """
        self._phase = _Phase.DONE
        if mid_response:
            return [AdaptedEnd()]
        page = block_page.not_recorded(self.transaction.txn_id, self._subject, self._options.contact)
        return answers.page_reply(self.transaction, page)

    # --- the body arrives

    def _on_data(self, data: bytes) -> list[Step]:
        self.transaction.body_bytes += len(data)
        if self._flowing is not None:
            return self._after_flow(self._flowing.feed(data))
        self._received += data
        if self._phase is _Phase.PREVIEW and self._request.preview is None:
            return self._decide()
        if self._phase is _Phase.BUFFERING and len(self._received) > self._options.max_buffered_body:
            return self._start_inspected_flow()
        return []

    def _on_end(self) -> list[Step]:
        steps: list[Step] = []
        if self._phase is _Phase.PREVIEW:
            steps += self._decide()
        if self._phase is _Phase.BUFFERING:
            steps += self._finish_buffered()
        if self._flowing is not None and self._phase is _Phase.FLOWING:
            self._note_truncation()
            steps += self._after_flow(self._flowing.finish())
        return steps

    def _decide(self) -> list[Step]:
        """Choose the plan, and act on it as far as it can be acted on now."""
        if self.transaction.must_block:
            return self._block_by_rules()
        rules, limit = self._inspector.rules, self._options.max_buffered_body
        self._plan = plan = plan_body(self._virgin, bytes(self._received), rules, limit)
        if plan.kind is PlanKind.SKIP:
            self.transaction.mark("skipped", plan.reason)
            if plan.is_blind and self._options.blocks_uninspected:
                return self._block_uninspected()
            if self._head is self._virgin and self._may_answer_204:
                return self._done(answers.unmodified(self.transaction))
            return self._continue() + self._start_flow(Echo(), self._head)
        if answers.is_range(self._virgin):
            self.transaction.mark("partial", "range")
            if self._options.blocks_uninspected:
                return self._block_uninspected()
        if plan.kind is PlanKind.STREAM:
            return self._continue() + self._start_inspected_flow()
        self._phase = _Phase.BUFFERING
        return self._continue()

    def _continue(self) -> list[Step]:
        if not self._paused:
            return []
        self._paused, self._continued = False, True
        return [Continue()]

    # --- BUFFER

    def _finish_buffered(self) -> list[Step]:
        assert self._plan is not None
        raw, missing = bytes(self._received), self._note_truncation()
        with_size = content_length(self._virgin) is None
        reading = read_buffered(self._inspector, self._plan, raw, with_size=with_size)
        if reading.outgrew:
            return self._start_inspected_flow()
        if reading.reason:
            self.transaction.mark(reading.inspection, reading.reason)
            if self._options.blocks_uninspected:
                return self._block_uninspected()
            self.transaction.disposition = "bypassed"
        self.transaction.add_findings(reading.findings)
        if self.transaction.must_block:
            return self._block_by_rules()
        if reading.changed is None:
            return self._pass_whole(raw)
        if answers.is_range(self._virgin):
            # Without what is redacted it would no longer be the range that it says it is.
            self.transaction.blocked_otherwise = True
            return self._block_by_rules()
        self.transaction.disposition = "redacted"
        head = changed_head(self._head, len(reading.changed) + missing)
        return self._done(answers.adapted(self.transaction, head, reading.changed))

    def _note_truncation(self) -> int:
        """How many bytes are missing. Squid ends a body that broke off as if it were whole.

        Only Content-Length tells; a changed one stays too large by as much, so that the client sees it too.
        """
        missing = max(0, (content_length(self._virgin) or 0) - self.transaction.body_bytes)
        if missing:
            self.transaction.mark("partial", "truncated")
        return missing

    # --- STREAM

    def _start_inspected_flow(self) -> list[Step]:
        assert self._plan is not None
        rules = self._inspector.rules.for_media_type(self._plan.media_type.essence)
        if rules.field_rules and not self._plan.media_type.is_event_stream:
            # Rules on single fields need the whole body, or the whole event; the others hold.
            self.transaction.mark("partial", "oversize")
            if self._options.blocks_uninspected:
                return self._block_uninspected()
        if not sample_is_readable(self._inspector, self._plan, bytes(self._received)):
            self.transaction.mark("skipped", "charset")
            if self._options.blocks_uninspected:
                return self._block_uninspected()
            return self._start_flow(Echo(), self._head)
        enforces = any(rule.enforced and rule.action >= Action.REDACT for rule in rules.body_rules)
        kind = Inspected if enforces else Watched
        limits = self._inspector.limits.streamed_coding
        flow = kind(self._plan.codings, limits, self._inspector.stream(self._plan.media_type))
        return self._start_flow(flow, changed_head(self._head, None) if enforces else self._head)

    def _start_flow(self, flow: Flow, head: MessageHead) -> list[Step]:
        self._phase = _Phase.FLOWING
        self.transaction.disposition = "echoed" if self._head is self._virgin else "redacted"
        received, self._received = bytes(self._received), bytearray()
        self._flowing = FlowingMessage(self.transaction, flow, self._inspector.rules)
        begun = self._flowing.begin(head, received)
        # Blocked by what is here already: nothing has left, so a page still can.
        return self._block_by_rules() if self.transaction.must_block else self._after_flow(begun)

    def _after_flow(self, steps: list[Step]) -> list[Step]:
        assert self._flowing is not None
        return self._done(steps) if self._flowing.is_done else steps

    # --- the verdict

    @property
    def _may_answer_204(self) -> bool:
        """RFC 3507 section 4.6: in answer to a preview, or where the request allows it."""
        answers_preview = self._request.preview is not None and not self._continued
        return answers_preview or self._request.allows_204

    def _pass_whole(self, raw: bytes) -> list[Step]:
        """The virgin body stands; so does its head, unless a rule changed that."""
        if self._head is not self._virgin:
            self.transaction.disposition = "redacted"
        elif self._may_answer_204:
            return self._done(answers.unmodified(self.transaction))
        elif self.transaction.disposition == "unmodified":
            self.transaction.disposition = "echoed"
        return self._done(answers.adapted(self.transaction, self._head, raw))

    def _block_by_rules(self) -> list[Step]:
        enforced = [finding for finding in self.transaction.findings if finding.enforced]
        gravest = max(finding.action for finding in enforced)
        fired = (finding.rule_id for finding in enforced if finding.action is gravest)
        contact = self._options.contact
        page = block_page.blocked_by_rules(self.transaction.txn_id, fired, self._subject, contact)
        return self._done(answers.blocked(self.transaction, page))

    def _block_uninspected(self) -> list[Step]:
        self.transaction.blocked_otherwise = True
        reason, contact = self.transaction.skip_reason, self._options.contact
        page = block_page.not_inspected(self.transaction.txn_id, reason, self._subject, contact)
        return self._done(answers.blocked(self.transaction, page))

    def _done(self, steps: list[Step]) -> list[Step]:
        self._phase = _Phase.DONE
        return steps
