"""One REQMOD or RESPMOD transaction, from its heads to its verdict: events in, steps out.

    head --> preview --> plan --> SKIP: let it pass
                              --> BUFFER: hold it back, inspect it whole, then let pass, redact or block
                              --> STREAM: let it flow through the inspection

Nothing here waits, sends or stores. A step is a reply for the codec, a Record for the audit trail, or Work
that takes long. The caller carries them out in order: a record is durable before the reply behind it leaves.
"""

from collections.abc import Callable
from functools import partial

from icapd.audit import Inspection
from icapd.errors import CodingError
from icapd.http.adapted import changed_head
from icapd.http.headers import Headers
from icapd.http.heads import MessageHead
from icapd.icap import AdaptedEnd, BodyData, BodyEnd, PreviewEnd, Reply
from icapd.inspection import Inspector
from icapd.policy import BY_POLICY
from icapd.services import answers, blocking
from icapd.services.answers import AdaptationOptions, Record, Step, Work, patiently
from icapd.services.body_memory import BodyMemory, HeldBody
from icapd.services.body_plan import Announced, BodyPlan, PlanKind, plan_body
from icapd.services.buffered import obstacle, read_buffered
from icapd.services.examination import size_findings
from icapd.services.exchange import Exchange, Phase
from icapd.services.flow import Echo, Flow, inspected_flow, needs_all
from icapd.services.flowing import FlowingMessage
from icapd.services.normalising import normalised_head, of_changed_head
from icapd.services.start import examined_head, examined_start
from icapd.services.trailers import examined
from icapd.services.transaction import Transaction


class Adaptation:
    """The state machine of one transaction."""

    def __init__(
        self, transaction: Transaction, inspector: Inspector, options: AdaptationOptions, memory: BodyMemory
    ) -> None:
        self.transaction = transaction
        self._request = transaction.request
        self._inspector = inspector
        self._options = options
        self._virgin = answers.virgin_head(self._request)
        self._head = self._virgin
        self._announced = Announced.by(self._virgin, inspector.rules)
        self._exchange = Exchange(self._request)
        self._held = HeldBody(memory, options.max_buffered_body)
        self._plan: BodyPlan | None = None
        self._flowing: FlowingMessage | None = None
        self._phase = Phase.PREVIEW
        self.whole_body: bytes | None = None  # once done: as it came, where it was held back to its end

    @property
    def is_done(self) -> bool:
        return self._phase is Phase.DONE

    def begin(self) -> list[Step]:
        """What the heads alone decide. A body that comes with a preview is waited for that far."""
        return patiently(partial(self._begin, patient=False), partial(self._begin, patient=True))

    def _begin(self, *, patient: bool) -> list[Step]:
        if self._virgin.too_many_fields:
            self.transaction.mark("skipped", "head-fields")
            return self._block_uninspected()
        self._head, reason = examined_head(self._inspector, self.transaction, self._virgin, patient=patient)
        if reason and self._must_stop("partial", reason):
            return self._block_uninspected()
        self._head = normalised_head(self._head, self.transaction, self._options.normalisation)
        if self._request.has_body:
            self.transaction.add_findings(size_findings(self._announced.too_large_for(self._inspector.rules)))
        # Frames of a WebSocket pass the proxy in a tunnel: this request is all that is ever seen.
        if answers.is_upgrade(self._virgin) and self._must_stop("partial", "upgrade"):
            return self._block_uninspected()
        if not self._request.has_body:
            return self._block_by_rules() if self.transaction.must_block else self._pass_whole(b"")
        if self.transaction.must_block and self._request.preview is None:
            return self._block_by_rules()
        return []

    def bypass(self, reason: str) -> list[Step]:
        """In the place of `begin`: the message meets the fail mode, or passes by policy, not looked at."""
        if self._must_stop("skipped", reason):
            return self._block_uninspected()
        if reason != BY_POLICY:
            self.transaction.disposition = "bypassed"
        if self._exchange.may_answer_204:
            return self._done(answers.unmodified(self.transaction))
        return self._start_flow(Echo(), self._virgin) if self._request.has_body else self._pass_whole(b"")

    def handle(self, event: BodyData | PreviewEnd | BodyEnd) -> list[Step]:
        """The next piece of the body, or its end."""
        match event:
            case BodyData(data):
                return self._on_data(data)
            case PreviewEnd(complete):
                self._exchange.end_preview(complete)
                return [] if complete else self._decide()
            case BodyEnd(trailers):
                return self._on_end(trailers)

    def abandon(self, reason: str) -> list[Record]:
        """The peer is gone, or the server stops: the record of what was seen, with no reply behind it."""
        if self.is_done:
            return []
        self.transaction.mark("partial", reason)
        began = self._flowing is not None and self._flowing.has_begun
        self.transaction.disposition = "cut" if began else "failed"
        self._done([])
        return [Record("close" if began else "final")]

    def fail(self, mid_response: bool) -> list[Step]:
        """A defect of ours: the message passes or is blocked by the fail mode, if it still can pass.

        `mid_response`: the head of the message has been sent.
        """
        if self._flowing is not None and mid_response:
            return self._done(self._flowing.cut("error", "internal-error"))
        if self._must_stop("error", "internal-error") or not self._exchange.may_answer_204:
            return self._block_uninspected()
        self.transaction.disposition = "bypassed"
        return self._done(answers.unmodified(self.transaction))

    def record_failed(self, mid_response: bool) -> list[Reply]:
        """What takes the place of the steps behind a record not written; `mid_response` as in `fail`."""
        self._done([])
        if mid_response:
            return [AdaptedEnd()]
        return blocking.unrecorded(self.transaction, self._options.contact)

    # --- the body arrives

    def _on_data(self, data: bytes) -> list[Step]:
        self.transaction.body_bytes += len(data)
        self._exchange.data(len(data))
        if self._flowing is not None:
            return self._go_on(self._flowing, partial(self._flowing.feed, data))
        fits = self._held.add(data)
        if self._phase is Phase.PREVIEW and self._request.preview is None:
            return self._decide() if self._announced.is_settled_by(self.transaction.body_bytes) else []
        return self._start_inspected_flow() if self._phase is Phase.BUFFERING and not fits else []

    def _on_end(self, trailers: Headers) -> list[Step]:
        self._exchange.end()
        steps = self._decide() if self._phase is Phase.PREVIEW else []
        finish = partial(self._finish, trailers)
        return [*steps, *patiently(partial(finish, patient=False), partial(finish, patient=True))]

    def _finish(self, trailers: Headers, *, patient: bool) -> list[Step]:
        """The body is all there."""
        steps = self._finish_buffered(trailers, patient) if self._phase is Phase.BUFFERING else []
        if self._flowing is not None and self._phase is Phase.FLOWING:
            self.transaction.note_truncation(self._announced.length)
            kept = examined(trailers, self._inspector, self.transaction)
            steps += self._go_on(self._flowing, partial(self._flowing.finish, kept))
        return steps

    def _decide(self) -> list[Step]:
        """Choose the plan, and act on it as far as it can be acted on now."""
        sample, codings = self._held.sample(), self._announced.codings
        timely = examined_start(self._inspector, self.transaction, self._virgin, codings, sample)
        if not timely and self._must_stop("partial", "budget"):
            return self._block_uninspected()
        if self.transaction.must_block:
            return self._block_by_rules()
        skips = self.transaction.skips_body(self._announced.media_type.essence, self._announced.length)
        rules, limit = self._inspector.rules, self._options.max_buffered_body
        self._plan = plan = plan_body(self._announced, sample, rules, limit, skips=skips)
        if plan.kind is PlanKind.SKIP:
            if self._must_stop("skipped", plan.reason) and plan.is_blind:
                return self._block_uninspected()
            if self._head is self._virgin and self._exchange.may_answer_204:
                return self._done(answers.unmodified(self.transaction))
            if self._head is not self._virgin and self._exchange.may_answer_206:
                return self._pass_with_changed_head()
            return self._with_the_rest(self._start_flow(Echo(), self._head))
        if answers.is_range(self._virgin) and self._must_stop("partial", "range"):
            return self._block_uninspected()
        if plan.kind is PlanKind.STREAM:
            return self._with_the_rest(self._start_inspected_flow())
        self._phase = Phase.BUFFERING
        return list(self._exchange.ask_for_the_rest())

    def _with_the_rest(self, steps: list[Step]) -> list[Step]:
        """The steps of a flow that begins, behind a 100 for the rest of the body unless they do without."""
        return steps if self.is_done else [*self._exchange.ask_for_the_rest(), *steps]

    # --- BUFFER

    def _finish_buffered(self, trailers: Headers, patient: bool) -> list[Step]:
        assert self._plan is not None
        length = self._announced.length
        raw, missing = self._held.sample(), self.transaction.note_truncation(length)
        if missing and self.transaction.profile.blocks("truncated", False):
            return self._block_uninspected()
        reading = read_buffered(self._inspector, self._plan, raw, with_size=length is None, patient=patient)
        if reading.outgrew:
            return self._start_inspected_flow()
        if reading.reason:
            if self._must_stop(reading.inspection, reading.reason):
                return self._block_uninspected()
            self.transaction.disposition = "bypassed"
        self.transaction.add_findings(reading.findings)
        kept = examined(trailers, self._inspector, self.transaction)
        if self.transaction.must_block:
            return self._block_by_rules()
        if reading.changed is None:
            return self._pass_whole(raw, trailers, kept)
        if answers.is_range(self._virgin):
            # Without what is redacted it would no longer be the range that it says it is.
            self.transaction.blocked_otherwise = True
            return self._block_by_rules()
        self.transaction.disposition = "redacted"
        head = changed_head(self._head, len(reading.changed) + missing)
        held = self._exchange.held_for_206
        return self._done(answers.changed(self.transaction, self._options, head, raw, reading.changed, held))

    # --- STREAM

    def _start_inspected_flow(self) -> list[Step]:
        assert self._plan is not None
        if needs_all(self._inspector, self._plan) and self._must_stop("partial", "oversize"):
            return self._block_uninspected()
        try:
            flow = inspected_flow(self._inspector, self._plan, self._announced.length, self._held.sample())
        except CodingError as error:
            if self._must_stop(*obstacle(error)):
                return self._block_uninspected()
            return self._start_flow(Echo(), self._head)
        return self._start_flow(flow, flow.head(self._head))

    def _start_flow(self, flow: Flow, head: MessageHead) -> list[Step]:
        self._phase = Phase.FLOWING
        if self.transaction.disposition != "bypassed":
            is_virgin = self._head is self._virgin
            self.transaction.disposition = "echoed" if is_virgin else of_changed_head(self.transaction)
        rules, has_size = self._announced.rules_of(self._inspector.rules), self._announced.length is not None
        flowing = FlowingMessage(self.transaction, head, flow, rules, self._options, has_size=has_size)
        self._flowing = flowing
        received = self._held.release()
        steps = self._go_on(flowing, partial(flowing.feed, received)) if received else []
        # Who reads an event stream waits for its head; its first event may be long in coming.
        if self._announced.media_type.is_event_stream and not (self.is_done or flowing.has_begun):
            return [*flowing.begin(), *steps]
        return steps

    def _go_on(self, flowing: FlowingMessage, move: Callable[[], list[Step]]) -> list[Step]:
        """One move of a body that flows."""
        if flowing.is_slow:
            return [Work(lambda: self._after_flow(move()))]
        return patiently(lambda: self._after_flow(move()), lambda: self._after_flow(flowing.resume()))

    def _after_flow(self, steps: list[Step]) -> list[Step]:
        assert self._flowing is not None
        if self.transaction.must_block and not self._flowing.has_begun:
            # Nothing has left, so a page still can.
            return self._block_by_rules()
        return self._done(steps) if self._flowing.is_done else steps

    # --- the verdict

    def _pass_whole(self, raw: bytes, trailers: Headers = Headers(), kept: Headers = Headers()) -> list[Step]:
        """The virgin body stands; so do its head and its trailers, unless a rule changed them to `kept`."""
        if self._head is not self._virgin or kept != trailers:
            if self._exchange.may_answer_206 and not trailers:
                return self._pass_with_changed_head()
            self.transaction.disposition = of_changed_head(self.transaction)
        elif self._exchange.may_answer_204:
            return self._done(answers.unmodified(self.transaction))
        elif self.transaction.disposition == "unmodified":
            self.transaction.disposition = "echoed"
        return self._done(answers.adapted(self.transaction, self._options, self._head, raw, kept))

    def _pass_with_changed_head(self) -> list[Step]:
        """The whole body is the client's own: none of it has to travel again."""
        self.transaction.disposition = of_changed_head(self.transaction)
        return self._done(answers.partly_adapted(self.transaction, self._options, self._head))

    def _must_stop(self, inspection: Inspection, reason: str) -> bool:
        """Note that the message is not, or not wholly, inspected; whether it therefore must not pass."""
        self.transaction.mark(inspection, reason)
        return self.transaction.profile.blocks(reason, self._options.blocks_uninspected)

    def _block_by_rules(self) -> list[Step]:
        return self._done(blocking.by_rules(self.transaction, self._options.contact))

    def _block_uninspected(self) -> list[Step]:
        return self._done(blocking.uninspected(self.transaction, self._options.contact))

    def _done(self, steps: list[Step]) -> list[Step]:
        self._phase = Phase.DONE
        self.whole_body = self._exchange.whole(self._held.release(), self.transaction.body_bytes)
        return steps
