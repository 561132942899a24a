"""Bytes in, findings and adapted bytes out: the rules applied to the parts of HTTP messages."""

from icapd.inspection.findings import Finding, Fingerprinter, mask
from icapd.inspection.inspector import BodyInspection, HeaderInspection, Inspector, UrlInspection
from icapd.inspection.limits import InspectionLimits
from icapd.inspection.stage import BodyStream

__all__ = [
    "BodyInspection",
    "BodyStream",
    "Finding",
    "Fingerprinter",
    "HeaderInspection",
    "InspectionLimits",
    "Inspector",
    "UrlInspection",
    "mask",
]
