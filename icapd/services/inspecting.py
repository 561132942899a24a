"""Settings of an inspection without a server: where the rules are, what it may take.

Apart from those of a server, whose libraries `icapd scan` need not wait for.
"""

from pathlib import Path

from icapd.http.codings import CodingLimits
from icapd.inspection import InspectionLimits
from icapd.policy import default_rules_directory
from icapd.settings import Settings


def rules_directory(settings: Settings) -> Path:
    """Where the rules are: the configured directory, else those that came with icapd."""
    return Path(settings.policy.directory) if settings.policy.directory else default_rules_directory()


def inspection_limits(settings: Settings) -> InspectionLimits:
    limits = settings.limits
    return InspectionLimits(
        buffered_coding=CodingLimits(max_size=limits.max_decoded_body, max_ratio=limits.max_coding_ratio),
        streamed_coding=CodingLimits(max_size=None, max_ratio=limits.max_coding_ratio),
        max_event_size=limits.max_event_size,
        max_findings=limits.max_findings,
        scan_timeout=limits.scan_timeout,
    )
