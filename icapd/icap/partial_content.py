"""When a 206 may be sent (draft-icap-ext-partial-content-07, and what Squid makes of it)."""

from icapd.errors import LocalProtocolError
from icapd.icap.events import ModRequest
from icapd.icap.replies import PartialContent


def check(
    reply: PartialContent, request: ModRequest | None, received: int, *, paused: bool, read: bool
) -> None:
    """LocalProtocolError unless the client takes a 206 now and still holds what it is to use of its body.

    `received`: bytes of the body so far. `paused`: at the end of a preview with more behind it, where
    `Allow: 206` is enough (section 5.1). `read`: the body has ended; then Squid needs `Allow: 204` too.
    """
    if request is None or not request.allows_206 or not request.has_body:
        raise LocalProtocolError("206 for a request that does not allow it, or has no body")
    if not paused and not (read and request.allows_204):
        raise LocalProtocolError("206 at a time when the client would not take it")
    if reply.use_original_body > received:
        raise LocalProtocolError("use-original-body is more than has arrived")
