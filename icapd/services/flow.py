"""Bodies that pass while they are read: the plan STREAM, and what is echoed byte for byte."""

from typing import ClassVar, Protocol

from icapd.errors import CodingError
from icapd.http.adapted import changed_head
from icapd.http.charsets import SAMPLE, STATEFUL, UTF_7, charset_of, shows_ascii
from icapd.http.codings import CodingLimits, Decoder
from icapd.http.heads import MessageHead
from icapd.inspection import BodyStream, Finding, Inspector
from icapd.policy import Action
from icapd.services.body_plan import BodyPlan
from icapd.services.texts import TranscodedStream


class Flow(Protocol):
    """Takes a body as it travels, gives what goes on."""

    @property
    def findings(self) -> list[Finding]:
        """What was found so far; grows."""

    @property
    def leaves_unread(self) -> bool:
        """Whether something was in it that is read only where all of a body is there."""

    @property
    def cut(self) -> bool:
        """Whether the output ends here, whatever still comes in."""

    @property
    def changes(self) -> bool:
        """Whether what goes on is other bytes than what came."""

    @property
    def may_change(self) -> bool:
        """Whether it could become other bytes: known before the first one."""

    def feed(self, data: bytes) -> bytes:
        """What goes on now. OutOfPatience, unless it is patient: to be gone on with by feeding nothing."""

    def finish(self) -> bytes:
        """The rest. OutOfPatience, unless it is patient: to be asked again."""

    def be_patient(self) -> None:
        """It may take its time from now on."""

    def unread(self) -> bytes:
        """What has come and may go on although it was not read to its end."""


class Echo:
    """Every byte goes on as it came; nothing is read."""

    findings: ClassVar[list[Finding]] = []
    leaves_unread = False
    cut = False
    changes = False
    may_change = False

    def feed(self, data: bytes) -> bytes:
        return data

    def finish(self) -> bytes:
        return b""

    def be_patient(self) -> None:
        pass

    def unread(self) -> bytes:
        return b""


class Inspected:
    """Decoded, inspected, redacted; goes on in no coding.

    Raises CodingError and ScanTimeout: what was held back then never leaves.
    """

    may_change = True

    def __init__(
        self, codings: tuple[str, ...], limits: CodingLimits, stream: BodyStream, length: int | None
    ) -> None:
        """`length`: of what goes on; None where it is not known."""
        self._length = length
        self._decoder = Decoder(codings, limits) if codings else None
        self._stream = stream
        self._stream.patient = False

    def be_patient(self) -> None:
        self._stream.patient = True

    def unread(self) -> bytes:
        return b""

    def head(self, virgin: MessageHead) -> MessageHead:
        """The head of what goes on."""
        return changed_head(virgin, self._length)

    @property
    def findings(self) -> list[Finding]:
        return self._stream.findings

    @property
    def leaves_unread(self) -> bool:
        return self._stream.leaves_unread

    @property
    def cut(self) -> bool:
        return self._stream.cut

    @property
    def changes(self) -> bool:
        redacts = any(finding.enforced and finding.action is Action.REDACT for finding in self.findings)
        return self._decoder is not None or redacts

    def feed(self, data: bytes) -> bytes:
        return self._stream.feed(self._decoder.feed(data) if self._decoder else data)

    def finish(self) -> bytes:
        if self._decoder is not None:
            self._decoder.finish()
        return self._stream.finish()


class Watched(Inspected):
    """Inspected, but every byte goes on as it came: for rules that are only monitored."""

    may_change = False
    changes = False
    # What has come and may not leave before it is inspected.
    _passing = b""

    def head(self, virgin: MessageHead) -> MessageHead:
        return virgin

    def feed(self, data: bytes) -> bytes:
        self._passing += data
        super().feed(data)
        return self.unread()

    def finish(self) -> bytes:
        super().finish()
        return b""

    def unread(self) -> bytes:
        passing, self._passing = self._passing, b""
        return passing


def needs_all(inspector: Inspector, plan: BodyPlan) -> bool:
    """Whether some rules don't apply to a body that flows.

    Those on single fields need the whole body, or the whole event; the others hold.
    """
    rules = inspector.rules.for_media_type(plan.media_type.essence)
    return bool(rules.field_rules) and not plan.media_type.is_event_stream


def inspected_flow(
    inspector: Inspector, plan: BodyPlan, announced: int | None, beginning: bytes
) -> Inspected:
    """The flow for a planned body: one that changes it only where a rule in force could.

    It has the length that was announced, so that who sends and who receives keep their Content-Length; not
    where it is decoded, nor as an event stream. `beginning`: what has come of it. Raises CodingError where
    that can't be read.
    """
    charset = _flowing_charset(plan, beginning, inspector.limits.streamed_coding)
    rules = inspector.rules.for_media_type(plan.media_type.essence).body_rules
    enforces = any(rule.enforced and rule.action >= Action.REDACT for rule in rules)
    length = None if plan.codings or plan.media_type.is_event_stream else announced
    keeps_length = length is not None or charset is not None
    stream = inspector.stream(plan.media_type, keeps_length=keeps_length)
    if charset is not None:
        stream = TranscodedStream(charset, stream)
    kind = Inspected if enforces else Watched
    return kind(plan.codings, inspector.limits.streamed_coding, stream, length)


def _flowing_charset(plan: BodyPlan, beginning: bytes, limits: CodingLimits) -> str | None:
    """The charset from which a body that flows is transcoded; None where it is read as it is.

    The stateful ones of seven bits are: ASCII is ASCII there outside of their shifts; and so is what shows
    ASCII although its label says otherwise. CodingError `charset`
    for UTF-7, and for an event stream that is not in UTF-8 (WHATWG HTML section 9.2.5 knows no other).
    """
    text = beginning[:SAMPLE]
    if plan.codings:
        text = Decoder(plan.codings, limits).feed(text)[:SAMPLE]
    charset = charset_of(plan.media_type, text)
    if charset is not None and (charset == UTF_7 or plan.media_type.is_event_stream):
        raise CodingError("charset", f"a body in {charset} is not read as it flows")
    if charset is None or charset in STATEFUL:
        return None
    return None if shows_ascii(charset, plan.media_type, text) else charset
