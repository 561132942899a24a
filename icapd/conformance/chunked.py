"""Lines 24 to 29: the chunked body (RFC 3507 section 4.4)."""

import time

from icapd.conformance import messages
from icapd.conformance.check import Check, Level, NotApplicable, Violation
from icapd.conformance.conversation import Closed
from icapd.conformance.lab import Lab, Service
from icapd.conformance.messages import Message
from icapd.conformance.replies import Reply, find

_FINE = {200, 204}
_BODY = b'{"message": "hello, hello"}'

_GOOD_CHUNKS = [
    ("extensions", b'1b;name=value;q="x"\r\n%b\r\n0;last\r\n\r\n'),
    ("a leading zero", b"0001b\r\n%b\r\n000\r\n\r\n"),
    ("upper case", b"1B\r\n%b\r\n0\r\n\r\n"),
]
_BAD_CHUNKS = [
    ("a size with 0x", b"0x1b\r\n%b\r\n0\r\n\r\n"),
    ("a negative size", b"-1b\r\n%b\r\n0\r\n\r\n"),
    ("a size with a plus", b"+1b\r\n%b\r\n0\r\n\r\n"),
    ("an empty size", b"\r\n%b\r\n0\r\n\r\n"),
    ("a size over 2^63", b"ffffffffffffffff1b\r\n%b\r\n0\r\n\r\n"),
    ("no CRLF behind a chunk", b"1b\r\n%b0\r\n\r\n"),
]


def chunk_sizes(lab: Lab) -> str:
    service, message = lab.service, lab.message(lab.service, _BODY)
    for what, form in _GOOD_CHUNKS:
        reply = lab.ask(lab.request(service, message, chunks=form % _BODY), what)
        _expect_echo(reply, what)
    for what, form in _BAD_CHUNKS:
        came = _taken(lab, lab.request(service, message, [b"Allow: 204"], chunks=form % _BODY))
        if came is not None:
            raise Violation(f"{what} is taken for a chunk: {came}")
        lab.expect_alive(what)
    return f"{len(_GOOD_CHUNKS)} forms taken, {len(_BAD_CHUNKS)} refused"


def _expect_echo(reply: Reply, what: str) -> None:
    if reply.status not in _FINE:
        raise Violation(f"{what}: {reply.line}")
    if reply.body is not None and not reply.body.is_same_as(_BODY):
        raise Violation(f"{what}: comes back as another body")


def _taken(lab: Lab, request: bytes) -> str | None:
    """What says that the server took the bytes for a whole request, and went on behind them."""
    with lab.conversation() as conversation:
        conversation.send(request)
        try:
            reply = conversation.reply()
            if reply.status not in _FINE:
                return None
            # It may have answered before it read the body; then it must not go on behind what is none.
            conversation.send(lab.options_request())
            return f"{reply.line}, and the next request: {conversation.reply().line}"
        except Closed:
            return None
        except Violation as error:
            return str(error)


def ieof_spellings(lab: Lab) -> str:
    service = lab.previewing
    message = lab.message(service, _BODY)
    for last in (b"0; ieof", b"0;ieof", b"0; IEOF", b"0 ; ieof"):
        chunks = b"1b\r\n%b\r\n%b\r\n\r\n" % (_BODY, last)
        reply = lab.ask(lab.request(service, message, [b"Preview: 1024"], chunks=chunks), last.decode())
        if reply.status == 100:
            raise Violation(f"100 after `{last.decode()}`: it was not seen as the body's end")
        _expect_echo(reply, f"`{last.decode()}`")
    return "in any case, with spaces or without"


def rfc_preview_example(lab: Lab) -> str:
    service = lab.previewing
    message = lab.message(service, messages.note("x" * 2000))
    body = message.body or b""
    unfinished = messages.chunked(body[:1024])[:-2]
    with lab.conversation() as conversation:
        conversation.send(lab.request(service, message, [b"Preview: 1024"], chunks=unfinished))
        if conversation.is_silent(lab.options.pause):
            conversation.send(b"\r\n")
            reply = conversation.reply()
            if reply.status not in _FINE | {100}:
                raise Violation(f"a preview whose last CRLF comes late: {reply.line}")
            return f"waits for the last CRLF, then {reply.line}"
        reply = conversation.reply()
    if reply.status == 100:
        raise Violation("100 before the preview's last CRLF (fine only by a compatibility switch)")
    return f"answered before the preview's end: {reply.line}"


def http_trailers(lab: Lab) -> str:
    service = lab.service
    message = lab.message(service, _BODY, fields=[b"Trailer: X-Checksum"], with_length=False)
    chunks = messages.chunked(_BODY, trailers=b"X-Checksum: 4711\r\n")
    with lab.conversation() as conversation:
        conversation.send(lab.request(service, message, chunks=chunks))
        try:
            reply = conversation.reply()
        except Violation as error:
            raise Violation(f"a body with a trailer: {error}") from None
        if reply.status not in _FINE:
            raise Violation(f"a body with a trailer: {reply.line}")
        lab.expect_next(conversation, "a body with a trailer")
    if reply.body is None or not reply.body.is_same_as(_BODY):
        return f"taken: {reply.line}"
    if find(reply.trailers, b"X-Checksum") != b"4711":
        raise Violation("the body is echoed without its trailer")
    return "echoed with the body"


def any_split(lab: Lab) -> str:
    service = lab.service
    loaded = lab.loaded(service) if lab.options.trigger else lab.message(service, _BODY)
    body = loaded.body or b""
    whole = _verdict(lab, service, loaded, messages.chunked(body))
    began = time.monotonic()
    for at in range(1, len(body)):
        cut = _verdict(lab, service, loaded, messages.chunked(body[:at], body[at:]))
        if cut != whole:
            raise Violation(f"split at byte {at} of {len(body)}: {cut}; whole: {whole}")
        if time.monotonic() - began > 10 * lab.options.timeout:
            raise NotApplicable("the server is too slow to try every offset")
    bytewise = _verdict(lab, service, loaded, messages.chunked(*(bytes([byte]) for byte in body)))
    if bytewise != whole:
        raise Violation(f"in chunks of one byte: {bytewise}; whole: {whole}")
    return f"{len(body)} splits, the same verdict: {whole[0]} {whole[1]}".rstrip()


def _verdict(lab: Lab, service: Service, message: Message, chunks: bytes) -> tuple[int, str, str]:
    """Status, HTTP start line, and whether the body stands: pages hold numbers that differ each time."""
    reply = lab.ask(lab.request(service, message, chunks=chunks))
    kept = "" if reply.body is None else "same" if reply.body.is_same_as(message.body or b"") else "changed"
    return reply.status, reply.http_line, kept


_MUST, _SHOULD = Level.MUST, Level.SHOULD
CHECKS = (
    Check(24, _MUST, "4.4", "chunk sizes: extensions and zeros taken, what is no size refused", chunk_sizes),
    Check(25, _MUST, "4.5", "ieof in any spelling ends the body at its preview", ieof_spellings),
    Check(26, _MUST, "e9", "a preview without its last CRLF is waited for", rfc_preview_example),
    Check(27, _MUST, "e2", "an HTTP trailer is taken, and kept where the body is", http_trailers),
    Check(28, _MUST, "4.4", "the same body in any chunks gets the same verdict", any_split),
    Check(
        29,
        _MUST,
        "own",
        "bodies larger than the limits spill or flow, memory stays bounded",
        None,
        "the server's memory is seen on its own machine only",
    ),
)
