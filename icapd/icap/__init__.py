"""The wire protocol of RFC 3507, sans-IO: bytes become events, replies become bytes."""

from icapd.icap.connection import Connection
from icapd.icap.events import (
    BodyData,
    BodyEnd,
    ConnectionClosed,
    Event,
    Method,
    ModRequest,
    OptionsRequest,
    PreviewEnd,
    UnsupportedRequest,
)
from icapd.icap.limits import CodecLimits
from icapd.icap.replies import (
    AdaptedData,
    AdaptedEnd,
    AdaptedHead,
    Continue,
    ErrorReply,
    OptionsReply,
    PartialContent,
    Reply,
    Unmodified,
)

__all__ = [
    "AdaptedData",
    "AdaptedEnd",
    "AdaptedHead",
    "BodyData",
    "BodyEnd",
    "CodecLimits",
    "Connection",
    "ConnectionClosed",
    "Continue",
    "ErrorReply",
    "Event",
    "Method",
    "ModRequest",
    "OptionsReply",
    "OptionsRequest",
    "PartialContent",
    "PreviewEnd",
    "Reply",
    "Unmodified",
    "UnsupportedRequest",
]
