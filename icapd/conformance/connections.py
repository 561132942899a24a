"""Lines 69 to 73: connections, and ICAP trailers."""

import itertools

from icapd.conformance import messages
from icapd.conformance.check import Check, Level, NotApplicable, Shortfall, Violation
from icapd.conformance.conversation import Closed
from icapd.conformance.lab import Lab
from icapd.conformance.replies import find

#: Squid keeps an idle connection for 60 seconds; the server's limit must be longer.
_CLIENT_IDLE = 60.0


def persistent(lab: Lab) -> str:
    service = lab.service
    with lab.conversation() as conversation:
        for request in (lab.options_request(), lab.request(service, lab.message(service))):
            conversation.send(request)
            if conversation.reply().announces_close:
                raise Violation("closes behind each answer, unasked")
        lab.expect_next(conversation, "two others")
    with lab.conversation() as conversation:
        conversation.send(lab.options_request(fields=[b"Connection: close"]))
        reply = conversation.reply()
        if not conversation.is_closed(lab.options.timeout):
            raise Violation("asked to close, the server keeps the connection open")
        if not reply.announces_close:
            raise Shortfall("closed as asked, but the answer does not say Connection: close")
    return "kept open, and closed when asked"


def idle(lab: Lab) -> str:
    if not lab.options.wait:
        raise NotApplicable("needs time for the server's own limits (see --wait)")
    with lab.conversation() as conversation:
        lab.expect_next(conversation, "connecting")
        waited = min(lab.options.wait, _CLIENT_IDLE + 1)
        if not conversation.is_silent(waited):
            raise Violation(f"an idle connection is closed within {waited:g} s; Squid keeps its own for 60")
        lab.expect_next(conversation, f"{waited:g} s of silence")
    if waited < _CLIENT_IDLE:
        raise NotApplicable(f"still open after {waited:g} s; --wait 61 tells more")
    return f"open after {waited:g} s of silence"


def icap_trailers(lab: Lab) -> str:
    announced = 0
    for service in lab.services:
        # Trailers are for a verdict that is known only at the end: of a body too large to be held back.
        text = f"{'x ' * (1 << 20)} {lab.options.trigger}"
        small, large = messages.note(lab.options.trigger), messages.note(text)
        for body, allow in itertools.product((small, large), (b"204", b"204, trailers", b"trailers")):
            message = lab.message(service, body)
            with lab.conversation() as conversation:
                conversation.send(lab.request(service, message, [b"Allow: " + allow]))
                reply = conversation.reply()
                names = reply.get_list(b"trailer")
                if names and b"trailers" not in allow:
                    raise Violation("an ICAP Trailer for a client that does not allow trailers")
                if names and b"trailers" not in reply.get_list(b"allow"):
                    raise Violation("Trailer without Allow: trailers in the same head")
                missing = [name for name in names if find(reply.icap_trailers, name) is None]
                if missing:
                    raise Violation("a trailer that was announced does not come")
                announced += bool(names)
                try:
                    lab.expect_next(conversation, "an answer with trailers" if names else "an answer")
                except Closed:
                    raise Violation("closed behind an answer") from None
    return f"{announced} answers with trailers, each allowed and announced"


_MUST = Level.MUST
CHECKS = (
    Check(69, _MUST, "4.1, 6.2", "persistent; Connection: close is honoured and announced", persistent),
    Check(70, _MUST, "Squid", "an idle connection stays for longer than a client keeps it", idle),
    Check(
        71,
        Level.SHOULD,
        "4.3.3, Squid",
        "overload is no storm of 503",
        None,
        "what happens at the limit is the server's configuration",
    ),
    Check(
        72,
        _MUST,
        "6.2, Squid",
        "a stop lets requests under way end",
        None,
        "needs to stop and restart the server",
    ),
    Check(73, _MUST, "TR, Squid", "ICAP trailers only where allowed, and announced", icap_trailers),
)
