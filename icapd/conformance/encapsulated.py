"""Lines 16 to 23: the Encapsulated header (RFC 3507 section 4.4.1)."""

from icapd.conformance import messages
from icapd.conformance.check import Check, Level, Violation
from icapd.conformance.lab import Lab, Service
from icapd.conformance.messages import Message

_REFUSED = frozenset({400})
_FINE = frozenset({200, 204})
#: 418 says that a section which the service needs is missing (RFC 3507 section 4.3.3).
_FINE_OR_INCOMPLETE = _FINE | {418}


def _with_list(lab: Lab, service: Service, value: bytes, payload: bytes) -> bytes:
    method = b"RESPMOD" if service.methods == {b"RESPMOD"} else b"REQMOD"
    return lab.head(method, service.path, [b"Encapsulated: " + value]) + payload


def _expect_refusals(lab: Lab, cases: list[tuple[str, bytes]]) -> None:
    for what, request in cases:
        came = lab.refuses(request, _REFUSED)
        if came is not None:
            raise Violation(f"{what}: {came}")


def _kind(lab: Lab, service: Service) -> str:
    return "res-body" if lab.message(service).response is not None else "req-body"


def offsets_rise(lab: Lab) -> str:
    service, message = lab.service, lab.message(lab.service)
    payload = message.request + (message.response or b"") + messages.chunked(b"x")
    body = _kind(lab, service)
    cases = [
        (value, _with_list(lab, service, value.encode(), payload))
        for value in (f"req-hdr=10, {body}=5", f"req-hdr=10, {body}=200", f"req-hdr=0, {body}=x", "nonsense")
    ]
    _expect_refusals(lab, cases)
    return "400 for each list that is none"


def legal_forms(lab: Lab) -> str:
    seen = []
    for service in lab.services:
        message = lab.message(service)
        heads = [("req-hdr", message.request)]
        if message.response is not None:
            heads.append(("res-hdr", message.response))
        for chosen in _choices(heads):
            for body in (_kind(lab, service), "null-body") if chosen else (_kind(lab, service),):
                value = _list_of(chosen, body)
                payload = b"".join(head for _, head in chosen)
                if body != "null-body":
                    payload += messages.chunked(message.body or b"")
                head = lab.head(message.method, service.path, [b"Encapsulated: " + value.encode()])
                reply = lab.ask(head + payload, f"{message.method.decode()} with {value}")
                whole = len(chosen) == len(heads)
                if reply.status not in (_FINE if whole else _FINE_OR_INCOMPLETE):
                    raise Violation(f"{message.method.decode()} with {value}: {reply.line}")
                seen.append(value)
    return f"{len(seen)} forms"


def _choices(heads: list[tuple[str, bytes]]) -> list[list[tuple[str, bytes]]]:
    """All heads, each one alone, none."""
    alone = [[head] for head in heads] if len(heads) > 1 else []
    return [heads, *alone, []]


def _list_of(heads: list[tuple[str, bytes]], body: str) -> str:
    parts, offset = [], 0
    for name, head in heads:
        parts.append(f"{name}={offset}")
        offset += len(head)
    return ", ".join([*parts, f"{body}={offset}"])


def body_by_encapsulated_only(lab: Lab) -> str:
    service = lab.service
    # HEAD and 304 have such heads: they tell of a body that does not come.
    message = lab.message(service, b"12345").with_body(None)
    reply = lab.ask(lab.request(service, message, [b"Allow: 204"]))
    if reply.status not in _FINE:
        raise Violation(f"Content-Length: 5 before null-body: {reply.line}")
    with_body = Message(messages.get(), None if message.response is None else message.response, b"hello")
    reply = lab.ask(lab.request(service, with_body, [b"Allow: 204"]))
    if reply.status not in _FINE:
        raise Violation(f"a body that only Encapsulated tells of: {reply.line}")
    return "HTTP's own headers decide nothing"


def null_body_preview(lab: Lab) -> str:
    service = lab.previewing
    with lab.conversation() as conversation:
        conversation.send(lab.request(service, lab.message(service, None), [b"Preview: 0", b"Allow: 204"]))
        reply = conversation.reply()
        if reply.status not in _FINE:
            raise Violation(f"Preview: 0 with null-body: {reply.line}")
        lab.expect_next(conversation, "null-body with Preview: 0")
    return f"{reply.line} with no chunk"


def sections_by_offset(lab: Lab) -> str:
    service, message = lab.service, lab.message(lab.service)
    body = _kind(lab, service)
    request, response = message.request, message.response or b""
    heads = request + response
    cut = request[:-2]  # without its empty line
    if response:
        overlap = f"req-hdr=0, res-hdr={len(request) - 4}, {body}={len(heads)}"
        unended = f"req-hdr=0, res-hdr={len(cut)}, {body}={len(cut) + len(response)}"
    else:
        overlap = f"req-hdr=0, {body}={len(request) - 4}"
        unended = f"req-hdr=0, {body}={len(cut)}"
    _expect_refusals(
        lab,
        [
            ("sections that overlap", _with_list(lab, service, overlap.encode(), heads + b"0\r\n\r\n")),
            (
                "a head without its empty line",
                _with_list(lab, service, unended.encode(), cut + response + b"0\r\n\r\n"),
            ),
        ],
    )
    return "400 where a section has no end of its own"


def missing_sections(lab: Lab) -> str:
    service, message = lab.respmod, lab.message(lab.respmod)
    response = message.response or b""
    head = lab.head(b"RESPMOD", service.path, [b"Encapsulated: res-hdr=0, res-body=%d" % len(response)])
    reply = lab.ask(head + response + messages.chunked(message.body or b""))
    if reply.status not in _FINE_OR_INCOMPLETE:
        raise Violation(f"RESPMOD without req-hdr: {reply.line}")
    return reply.line


def duplicates(lab: Lab) -> str:
    service, message = lab.service, lab.message(lab.service)
    body, size = _kind(lab, service), len(message.request)
    payload = message.request * 2 + messages.chunked(b"x")
    cases = [
        f"req-hdr=0, req-hdr={size}, {body}={2 * size}",
        f"req-hdr=0, {body}={size}, null-body={2 * size}",
        f"req-hdr=0, {body}={size}, {body}={2 * size}",
    ]
    _expect_refusals(lab, [(case, _with_list(lab, service, case.encode(), payload)) for case in cases])
    return "400 for each"


def options_body(lab: Lab) -> str:
    request = lab.options_request(fields=[b"Encapsulated: opt-body=0"]) + messages.chunked(b"what=all")
    with lab.conversation() as conversation:
        conversation.send(request)
        reply = conversation.reply()
        if reply.status != 200 and not 400 <= reply.status < 500:
            raise Violation(f"OPTIONS with opt-body: {reply.line}")
        if conversation.is_closed(lab.options.pause / 5):
            if reply.status == 200:
                raise Violation("200, and closed behind an opt-body")
            return f"{reply.line}, and closed"
        lab.expect_next(conversation, "OPTIONS with opt-body")
    return f"{reply.line}, and the connection goes on"


_MUST, _SHOULD = Level.MUST, Level.SHOULD
CHECKS = (
    Check(16, _MUST, "4.4.1", "400 for offsets that do not begin at 0 and rise", offsets_rise),
    Check(17, _MUST, "4.4.1, e4", "every legal list of sections is taken", legal_forms),
    Check(18, _MUST, "e1", "Encapsulated alone says whether there is a body", body_by_encapsulated_only),
    Check(19, _MUST, "4.4.1, Squid", "null-body has no chunk, even with Preview: 0", null_body_preview),
    Check(20, _MUST, "4.4.1", "offsets split the heads; each ends in an empty line", sections_by_offset),
    Check(21, _SHOULD, "e5", "without req-hdr a response is adapted, or gets 418", missing_sections),
    Check(22, _MUST, "4.4.1", "400 for a section that comes twice, or two bodies", duplicates),
    Check(23, _MUST, "e1", "OPTIONS with a body: taken or refused, framing kept", options_body),
)
