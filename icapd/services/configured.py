"""Settings of a server, in the terms of the floors below."""

from icapd.http.normalising import Normalisation
from icapd.icap.limits import CodecLimits
from icapd.services.answers import AdaptationOptions
from icapd.services.catalogue import ServiceOptions
from icapd.services.inspecting import inspection_limits
from icapd.settings import Settings

__all__ = ["codec_limits", "inspection_limits", "service_options"]


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
