"""Reading a body that is all there: the plan BUFFER."""

from dataclasses import dataclass, field

from icapd.audit import Inspection
from icapd.errors import CodingError, ScanTimeout
from icapd.http.codings import Decoder
from icapd.inspection import Finding, Inspector
from icapd.services.body_plan import BodyPlan
from icapd.services.examination import size_findings
from icapd.services.texts import inspect_text

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
        inspection = inspect_text(inspector, text, plan.media_type, patient=patient)
    except (CodingError, ScanTimeout) as error:
        inspected, reason = obstacle(error)
        return Reading(inspection=inspected, reason=reason)
    rules = inspector.rules.for_media_type(plan.media_type.essence)
    sizes = size_findings(rules.scan_size(len(text), text)) if with_size else []
    changed = None if inspection.text is text else inspection.text
    return Reading((*inspection.findings, *sizes), changed)


def _decoded(plan: BodyPlan, raw: bytes, inspector: Inspector) -> bytes:
    if not plan.codings:
        return raw
    decoder = Decoder(plan.codings, inspector.limits.buffered_coding)
    return decoder.feed(raw) + decoder.finish()


def obstacle(error: CodingError | ScanTimeout) -> tuple[Inspection, str]:
    """How far a body was read, and what stood in the way, in the words of the audit row."""
    reason = reason_of(error)
    return ("skipped" if reason == "charset" else "partial"), reason


def reason_of(error: CodingError | ScanTimeout) -> str:
    """The word for the audit row."""
    return error.reason if isinstance(error, CodingError) else "budget"
