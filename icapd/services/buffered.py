"""Reading a body that is all there: the plan BUFFER."""

from dataclasses import dataclass, field

from icapd.audit import Inspection
from icapd.errors import CodingError, ScanTimeout
from icapd.http.charsets import is_readable
from icapd.http.codings import Decoder
from icapd.inspection import BodyInspection, Finding, Inspector
from icapd.services.body_plan import BodyPlan
from icapd.services.examination import size_findings

#: Bytes of a coded body that are decoded to see its first characters.
_SAMPLE = 1024
OUTGREW = "decoded-size"


@dataclass(frozen=True, slots=True)
class Reading:
    """What became of a held-back body."""

    findings: tuple[Finding, ...] = ()
    #: The body in no coding with its redactions; None when it stands as it came.
    changed: bytes | None = field(default=None, repr=False)
    #: How far it could be read, and what stood in the way, in the words of the audit row.
    inspection: Inspection = "complete"
    reason: str = ""

    @property
    def outgrew(self) -> bool:
        """Whether it is larger, once decoded, than may be held back: it has to flow."""
        return self.reason == OUTGREW


def read_buffered(
    inspector: Inspector, plan: BodyPlan, raw: bytes, *, with_size: bool, patient: bool
) -> Reading:
    """Decode and inspect a whole body. `with_size`: its size was not announced, so it is looked at here.

    Without patience, OutOfPatience is raised where it takes long.
    """
    try:
        text = _decoded(plan, raw, inspector)
        if plan.codings and not is_readable(plan.media_type.charset, text):
            return Reading(inspection="skipped", reason="charset")
        inspection: BodyInspection = inspector.inspect_body(text, plan.media_type, patient=patient)
    except (CodingError, ScanTimeout) as error:
        return Reading(inspection="partial", reason=reason_of(error))
    sizes = size_findings(inspector.rules.scan_size(len(text), text)) if with_size else []
    changed = None if inspection.text is text else inspection.text
    return Reading((*inspection.findings, *sizes), changed)


def _decoded(plan: BodyPlan, raw: bytes, inspector: Inspector) -> bytes:
    if not plan.codings:
        return raw
    decoder = Decoder(plan.codings, inspector.limits.buffered_coding)
    return decoder.feed(raw) + decoder.finish()


def why_unreadable(inspector: Inspector, plan: BodyPlan, raw: bytes) -> tuple[Inspection, str] | None:
    """What the beginning of a coded body shows to be in the way of rules; None when they can read it."""
    if not plan.codings:
        return None
    try:
        text = Decoder(plan.codings, inspector.limits.streamed_coding).feed(raw[:_SAMPLE])
    except CodingError as error:
        return "partial", error.reason
    return None if is_readable(plan.media_type.charset, text) else ("skipped", "charset")


def reason_of(error: CodingError | ScanTimeout) -> str:
    """The word for the audit row."""
    return error.reason if isinstance(error, CodingError) else "budget"
