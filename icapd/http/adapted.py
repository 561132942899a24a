"""Header fields of a message whose body was changed on its way."""

from icapd.http.headers import Headers
from icapd.http.heads import MessageHead, RequestHead, ResponseHead

# What describes the old bytes: its coding, its validators, its digests (RFC 9110 section 8, RFC 9530), and
# that ranges of it could be asked for.
_OF_THE_OLD_BODY = (
    b"Content-Encoding",
    b"Content-MD5",
    b"Digest",
    b"Content-Digest",
    b"Repr-Digest",
    b"Want-Digest",
    b"ETag",
    b"Accept-Ranges",
    # Squid leaves these out; of another client they would frame the old body (RFC 9112 section 6.1).
    b"Transfer-Encoding",
    b"Trailer",
)


def changed_request(head: RequestHead, length: int | None) -> RequestHead:
    """The head for a body of `length` bytes in no coding; None: its length is not known yet."""
    headers = head.headers.without(*_OF_THE_OLD_BODY)
    return head.with_headers(_with_length(headers, length))


def changed_response(head: ResponseHead, length: int | None) -> ResponseHead:
    """As `changed_request`; nobody may store it, for it depends on the rules of the day.

    Squid would serve a stored one to other users and after the rules have changed: it ignores ISTag.
    """
    headers = head.headers.without(*_OF_THE_OLD_BODY).with_(b"Cache-Control", b"no-store")
    return head.with_headers(_with_length(headers, length))


def changed_head(head: MessageHead, length: int | None) -> MessageHead:
    """`changed_request` or `changed_response`."""
    return changed_request(head, length) if isinstance(head, RequestHead) else changed_response(head, length)


def with_changed_fields(head: MessageHead, headers: Headers) -> MessageHead:
    """The head with other fields and the same body; a response may not be stored any more."""
    if isinstance(head, ResponseHead):
        headers = headers.with_(b"Cache-Control", b"no-store")
    return head.with_headers(headers)


def with_via(head: MessageHead, name: str) -> MessageHead:
    """The head with a further `Via: ICAP/1.0 name` (RFC 3507 section 4.4.2)."""
    return head.with_headers(Headers((*head.headers, (b"Via", b"ICAP/1.0 " + name.encode()))))


def _with_length(headers: Headers, length: int | None) -> Headers:
    if length is None:
        return headers.without(b"Content-Length")
    return headers.with_(b"Content-Length", b"%d" % length)
