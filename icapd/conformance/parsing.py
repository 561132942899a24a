"""Lines 1 to 15: the ICAP request itself (RFC 3507 sections 4.1 to 4.3)."""

import time

from icapd.conformance import messages
from icapd.conformance.check import Check, Level, NotApplicable, Shortfall, Violation
from icapd.conformance.conversation import Closed
from icapd.conformance.lab import Lab
from icapd.conformance.replies import Reply

_NOWHERE = "/no-such-service-here"
#: What a server may say to a head that it finds too large (RFC 9110, RFC 6585).
_TOO_LARGE = frozenset({400, 413, 414, 431})


def _expect(reply: Reply, statuses: set[int], what: str) -> None:
    if reply.status not in statuses:
        raise Violation(f"{what}: {reply.line}")


def uri_forms(lab: Lab) -> str:
    path = lab.service.path
    forms = [
        f"icap://{lab.target.authority}{path}",
        f"icap://alias.example{path}",
        f"icap://alias.example:1344{path}",
        f"icap://192.0.2.1{path}",
        f"icap://[2001:db8::1]:1344{path}",
        f"icap://{lab.target.authority}{path}?mode=x&y=1",
        f"ICAP://{lab.target.authority}{path}",
    ]
    for uri in forms:
        reply = lab.ask(messages.icap_head(b"OPTIONS", uri, lab.target.authority, ()), uri)
        _expect(reply, {200}, uri)
    return f"{len(forms)} forms of the URI name the same service"


def unknown_service(lab: Lab) -> str:
    with lab.conversation() as conversation:
        conversation.send(lab.options_request(_NOWHERE))
        reply = conversation.reply()
        _expect(reply, {404}, "OPTIONS of an unknown service")
        try:
            lab.expect_next(conversation, "404")
        except Violation as error:
            raise Shortfall(str(error)) from None
    return f"{reply.line}, and the connection goes on"


def wrong_method(lab: Lab) -> str:
    tried = []
    for service in lab.services:
        other = b"REQMOD" if service.methods == {b"RESPMOD"} else b"RESPMOD"
        if other in service.methods:
            continue
        message = lab.message(service, None)
        request = lab.request(service, message, method=other)
        if other == b"RESPMOD":
            request = lab.request(service, messages.response(None))
        elif message.response is not None:
            request = lab.request(service, messages.Message(messages.get()))
        _expect(lab.ask(request), {405}, f"{other.decode()} of {service.path}")
        tried.append(service.path)
    if not tried:
        raise NotApplicable("each service takes both methods")
    return f"405 from {', '.join(tried)}"


def unknown_method(lab: Lab) -> str:
    reply = lab.ask(lab.head(b"FOOMOD", lab.service.path))
    _expect(reply, {501}, "FOOMOD")
    return reply.line


def versions(lab: Lab) -> str:
    good = lab.options_request()
    for version, status in [(b"ICAP/2.0", 505), (b"ICAP/x.y", 400), (b"ICAP/1", 400), (b"ICAP", 400)]:
        reply = lab.ask(good.replace(b"ICAP/1.0", version, 1), version.decode())
        _expect(reply, {status}, version.decode())
    return "505 for ICAP/2.0, 400 for what is no version"


def host_header(lab: Lab) -> str:
    good, line = lab.options_request(), b"Host: %b\r\n" % lab.target.authority.encode()
    for what, request in [
        ("no Host", good.replace(line, b"", 1)),
        ("two Hosts that differ", good.replace(line, line + b"Host: other.example\r\n", 1)),
    ]:
        came = lab.refuses(request)
        if came is not None:
            raise Violation(f"{what}: {came} (fine in a mode that says it is tolerant)")
    return "400 without Host, and with two that differ"


def header_names(lab: Lab) -> str:
    service = lab.service
    request = lab.request(service, lab.message(service), [b"Allow: 204"])
    odd = request.replace(b"\r\nEncapsulated: ", b"\r\neNCAPSULATED: \t ", 1)
    with_204 = lab.ask(request).status
    _expect(lab.ask(odd), {200, 204}, "eNCAPSULATED with spaces and a tab before its value")
    for lines in ([b"ALLOW:204"], [b"Allow: x-one", b"aLLOW:  204 "], [b"Allow: 204 ,  x-two"]):
        shown = " / ".join(line.decode() for line in lines)
        reply = lab.ask(lab.request(service, lab.message(service), lines), shown)
        _expect(reply, {with_204} if with_204 == 204 else {200, 204}, shown)
    return "names in any case, values with spaces, lists on two lines"


def folded_header(lab: Lab) -> str:
    reply = lab.ask(lab.options_request(fields=[b"X-Folded: one\r\n two\r\n\tthree"]))
    _expect(reply, {200, 400}, "a folded header")
    lab.expect_alive("a folded header")
    return reply.line


def malformed_headers(lab: Lab) -> str:
    for what, line in [
        ("a header without a colon", b"no colon here"),
        ("a NUL in a header", b"X-Nul: a\x00b"),
        ("a bare CR in a header", b"X-Cr: a\rb"),
        ("a header without a name", b": value"),
    ]:
        came = lab.refuses(lab.options_request(fields=[line]))
        if came is not None:
            raise Violation(f"{what}: {came}")
        lab.expect_alive(what)
    for what, line in [
        ("20,000 headers", b"\r\n".join([b"X-Many: 1"] * 20_000)),
        ("a header of 2 MiB", b"X-Long: " + b"x" * 2**21),
    ]:
        came = lab.refuses(lab.options_request(fields=[line]), _TOO_LARGE)
        if came is not None:
            raise Violation(f"{what}: {came}")
        lab.expect_alive(what)
    return "each refused, and the server goes on"


def unknown_headers(lab: Lab) -> str:
    service = lab.service
    fields = [b"Allow: 204, x-patience, trailers", b"X-Unheard-Of: yes"]
    reply = lab.ask(lab.request(service, lab.message(service), fields))
    _expect(reply, {200, 204}, "unknown X- header and Allow token")
    return reply.line


def transfer_encoding(lab: Lab) -> str:
    service = lab.service
    request = lab.request(service, lab.message(service, None), [b"Transfer-Encoding: chunked"])
    with lab.conversation() as conversation:
        conversation.send(request)
        reply = conversation.reply()
        if 400 <= reply.status < 500:
            return f"refused: {reply.line}"
        _expect(reply, {200, 204}, "Transfer-Encoding in the ICAP head")
        lab.expect_next(conversation, "a Transfer-Encoding that frames nothing")
    return "ignored"


def content_length(lab: Lab) -> str:
    service = lab.service
    plain = lab.message(service)
    for what, request in [
        ("Content-Length: 9999 on OPTIONS", lab.options_request(fields=[b"Content-Length: 9999"])),
        ("Content-Length: 3 on a longer body", lab.request(service, plain, [b"Content-Length: 3"])),
    ]:
        with lab.conversation() as conversation:
            conversation.send(request)
            reply = conversation.reply()
            if reply.status == 400:
                continue
            _expect(reply, {200, 204}, what)
            lab.expect_next(conversation, what)
    return "frames nothing"


def empty_lines(lab: Lab) -> str:
    with lab.conversation() as conversation:
        conversation.send(lab.options_request() + b"\r\n\r\n" + lab.options_request() + b"\r\n")
        _expect(conversation.reply(), {200}, "the first request")
        try:
            _expect(conversation.reply(), {200}, "the request behind two empty lines")
        except Violation as error:
            raise Violation(f"two empty lines between requests: {error}") from None
    return "passed over"


def pipelining(lab: Lab) -> str:
    options = lab.options_request()
    service = lab.service
    message = lab.request(service, lab.message(service))
    told: list[bool] = []
    with lab.conversation() as conversation:
        conversation.send(options + message + options)
        for _ in range(3):
            try:
                reply = conversation.reply()
            except Violation as error:
                raise Violation(f"three requests in one write, {len(told)} answered: {error}") from None
            _expect(reply, {200, 204}, "one of three requests in one write")
            told.append(reply.get(b"Methods") is not None)
    if told != [True, False, True]:
        raise Violation("three requests in one write are answered in another order")
    return "three requests in one write, answered in order"


def slow_head(lab: Lab) -> str:
    if not lab.options.wait:
        raise NotApplicable("needs time for the server's own limits (see --wait)")
    deadline = time.monotonic() + lab.options.wait
    step = max(0.05, lab.options.wait / 60)
    with lab.conversation() as conversation:
        conversation.send(lab.options_request()[:-4] + b"\r\nX-Slow: ")
        while conversation.is_silent(step):
            if time.monotonic() > deadline:
                raise Violation(f"a byte now and then keeps a head open for over {lab.options.wait:g} s")
            conversation.send(b"x")
        try:
            reply = conversation.reply()
        except Closed:
            raise Shortfall("closed without a 408") from None
        _expect(reply, {408}, "a head that comes byte by byte")
        if not conversation.is_closed(lab.options.pause):
            raise Violation("408, but the connection stays open")
    return reply.line


_MUST, _SHOULD = Level.MUST, Level.SHOULD
CHECKS = (
    Check(1, _MUST, "4.2", "take an absolute URI with any host, port and query", uri_forms),
    Check(2, _MUST, "4.3.3", "404 for an unknown service; SHOULD keep the connection", unknown_service),
    Check(3, _MUST, "4.3.3", "405 for RESPMOD to a REQMOD service, and the reverse", wrong_method),
    Check(4, _MUST, "4.3.2", "501 for an unknown method", unknown_method),
    Check(5, _MUST, "4.3.3", "505 for ICAP/2.0, 400 for what is no version", versions),
    Check(6, _MUST, "4.3.2", "400 without Host, or with two that differ", host_header),
    Check(7, _MUST, "4.3, PC 3", "header names in any case, spaces trimmed, lists merged", header_names),
    Check(8, _MUST, "4.3", "a folded header is joined or gets 400", folded_header),
    Check(9, _MUST, "4.3", "400 for headers that are none, too many, or too long", malformed_headers),
    Check(10, _MUST, "4.3, PC 3", "unknown X- headers and Allow tokens are ignored", unknown_headers),
    Check(11, _MUST, "4.3.1", "Transfer-Encoding in an ICAP head never frames", transfer_encoding),
    Check(12, _MUST, "4.4.1", "Content-Length in an ICAP head never frames", content_length),
    Check(13, _MUST, "HTTP", "empty lines between two requests are passed over", empty_lines),
    Check(14, _SHOULD, "4.1", "pipelined requests get one answer each, in order", pipelining),
    Check(15, _MUST, "4.3.3", "408 and close when a head does not come to its end", slow_head),
)
