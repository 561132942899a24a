"""Lines 59 and 60: how a verdict is told."""

import gzip
from urllib.parse import quote

from icapd.conformance import messages
from icapd.conformance.check import Check, Level, NotApplicable, Violation
from icapd.conformance.lab import Lab, Service
from icapd.conformance.messages import Message
from icapd.conformance.replies import Reply, find
from icapd.conformance.responses import cache_control, is_block

_FINE = {200, 204}


def _blocked(lab: Lab, service: Service, message: Message) -> Reply | None:
    reply = lab.ask(lab.request(service, message, [b"Allow: 204"]))
    return reply if reply.status == 200 and is_block(message, reply) else None


def block_page(lab: Lab) -> str:
    text = lab.options.block_trigger
    if not text:
        raise NotApplicable("needs a text that the service blocks (see --block-trigger)")
    service = lab.reqmod
    url = b"/?q=" + quote(text).encode()
    pages = {
        "POST": _blocked(lab, service, messages.post(messages.note(text))),
        "GET": _blocked(lab, service, Message(messages.get(url))),
        "HEAD": _blocked(lab, service, Message(messages.get(url, method=b"HEAD"))),
    }
    for method, reply in pages.items():
        if reply is None:
            continue
        if not 400 <= reply.http_status < 600:
            raise Violation(f"{method}: a block is {reply.http_line!r}")
        for name in (b"Content-Type", b"Content-Length"):
            if find(reply.http_fields, name) is None:
                raise Violation(f"{method}: a block page without {name.decode()}")
        if b"no-store" not in cache_control(reply.http_fields).lower():
            raise Violation(f"{method}: a block page that may be stored")
        if method == "HEAD" and reply.body is not None and reply.body.length:
            raise Violation("HEAD: a block page with a body")
    shown = [method for method, reply in pages.items() if reply is not None]
    if not shown:
        raise NotApplicable("the service does not block the block trigger (see --block-trigger)")
    return f"pages for {', '.join(shown)}"


def verdicts_are_2xx(lab: Lab) -> str:
    seen = 0
    for service in lab.services:
        texts = [text for text in (lab.options.trigger, lab.options.block_trigger) if text]
        cases = [("a trigger", lab.message(service, messages.note(text))) for text in texts]
        coded = gzip.compress(b'{"message": "hello"}')
        cases += [
            ("a body of 3 MiB", lab.message(service, b'"' + b"x" * (3 << 20) + b'"')),
            ("an unknown coding", lab.message(service, coded, fields=[b"Content-Encoding: x-unknown"])),
            ("a broken coding", lab.message(service, coded[:-9], fields=[b"Content-Encoding: gzip"])),
            ("a broken charset", lab.message(service, b"\xff\xfe\xfa", b"text/plain; charset=utf-8")),
            ("an unknown charset", lab.message(service, b"hello", b"text/plain; charset=x-unknown")),
            ("a body that is no JSON", lab.message(service, b'{"a": ')),
        ]
        if service.methods == {b"REQMOD"}:
            cases.append(("CONNECT", Message(messages.get(b"conformance.example:443", method=b"CONNECT"))))
        for what, message in cases:
            named = f"{message.method.decode()} with {what}"
            reply = lab.ask(lab.request(service, message, [b"Allow: 204"]), named)
            if reply.status not in _FINE:
                raise Violation(f"{named}: {reply.line}")
            seen += 1
    return f"{seen} messages, each answered by 200 or 204"


_MUST = Level.MUST
CHECKS = (
    Check(59, _MUST, "Squid", "a block is a page with type, length and no-store", block_page),
    Check(60, _MUST, "Squid", "policy, size and faults of HTTP never become 4xx or 5xx", verdicts_are_2xx),
)
