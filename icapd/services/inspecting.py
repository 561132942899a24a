"""Settings of an inspection without a server: what it may take.

Apart from those of a server, whose libraries `icapd scan` need not wait for.
"""

from icapd.http.codings import CodingLimits
from icapd.inspection import InspectionLimits
from icapd.settings import Settings


def inspection_limits(settings: Settings) -> InspectionLimits:
    limits = settings.limits
    return InspectionLimits(
        buffered_coding=CodingLimits(max_size=limits.max_decoded_body, max_ratio=limits.max_coding_ratio),
        streamed_coding=CodingLimits(max_size=None, max_ratio=limits.max_coding_ratio),
        max_event_size=limits.max_event_size,
        max_findings=limits.max_findings,
        scan_timeout=limits.scan_timeout,
    )
