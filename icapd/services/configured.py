"""Settings, in the terms of the floors below: where the rules are, what the inspection may take."""

from pathlib import Path

from icapd.http.codings import CodingLimits
from icapd.http.normalising import Normalisation
from icapd.icap.limits import CodecLimits
from icapd.inspection import InspectionLimits
from icapd.policy import default_rules_directory
from icapd.services.answers import AdaptationOptions
from icapd.services.catalogue import ServiceOptions
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


def codec_limits(settings: Settings) -> CodecLimits:
    limits = settings.limits
    return CodecLimits(
        max_icap_head=limits.max_icap_head,
        max_http_head=limits.max_http_head,
        max_drain=limits.max_drain,
        max_header_fields=limits.max_header_fields,
        max_preview=limits.max_preview,
        max_chunk_size=limits.max_chunk_size,
        max_chunk_line=limits.max_chunk_line,
        max_trailer=limits.max_trailer,
        tolerant=settings.server.tolerant,
    )


def service_options(settings: Settings) -> ServiceOptions:
    services, limits = settings.services, settings.limits

    def adaptation(fail_mode: str, max_buffered: int) -> AdaptationOptions:
        return AdaptationOptions(
            max_buffered_body=max_buffered,
            blocks_uninspected=fail_mode == "closed",
            contact=services.contact,
            via=services.via,
            verdict_trailer=services.verdict_trailer,
            normalisation=Normalisation(services.request_ranges, services.request_codings),
        )

    return ServiceOptions(
        preview=services.preview,
        options_ttl=services.options_ttl,
        max_connections=settings.server.max_connections,
        reqmod=adaptation(services.reqmod_fail_mode, limits.max_buffered_request),
        respmod=adaptation(services.respmod_fail_mode, limits.max_buffered_response),
    )
