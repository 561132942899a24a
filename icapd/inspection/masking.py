"""From a hit to the span that its rule's mask is to cover."""

from icapd.inspection.findings import Fingerprinter, Hit
from icapd.inspection.redaction import Span
from icapd.policy import REDACTED, Mask, mask_of


def mask_for(hit: Hit, fingerprinter: Fingerprinter) -> Mask:
    """What the secret of a hit becomes, wherever it stands."""
    style = hit.rule.rule.mask
    if style == "redacted":
        return REDACTED
    tag = fingerprinter.tag(hit.secret) if style == "label" else ""
    return mask_of(hit.rule.rule, hit.secret, tag)


def span_of(hit: Hit, fingerprinter: Fingerprinter) -> Span:
    """Where the secret of a hit stands, and what it becomes there."""
    return Span(hit.start, hit.end, mask_for(hit, fingerprinter))
