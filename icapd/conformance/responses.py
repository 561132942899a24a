"""Lines 48 to 58: what every answer looks like, and what becomes of HTTP in it (RFC 3507 section 4.4)."""

import re
from collections.abc import Iterator

from icapd.conformance.check import Check, Level, NotApplicable, Shortfall, Violation, printable
from icapd.conformance.lab import Lab
from icapd.conformance.messages import Message
from icapd.conformance.replies import Fields, Reply, find

_ISTAG = re.compile(rb'"[^"\r\n]{1,32}"')
_HOP_BY_HOP = (
    b"Connection",
    b"Keep-Alive",
    b"Proxy-Authenticate",
    b"Proxy-Authorization",
    b"TE",
    b"Trailer",
    b"Transfer-Encoding",
)
_MAX_AGE = re.compile(rb"(?:s-maxage|max-age)=\"?(\d+)", re.IGNORECASE)
_NOT_STORED = (b"no-store", b"no-cache", b"private")
_PAST = b"Thu, 01 Jan 1970 00:00:00 GMT"


def _samples(lab: Lab) -> dict[str, Reply]:
    replies = lab.sample_replies
    if not replies:
        raise Violation("the server gives no answer that could be read")
    return replies


def _audit(lab: Lab, kind: str) -> str:
    replies = _samples(lab)
    for name, reply in replies.items():
        if kind in reply.faults:
            raise Violation(f"{name}: {reply.faults[kind]}")
    return f"{len(replies)} answers"


def status_line(lab: Lab) -> str:
    for name, reply in _samples(lab).items():
        if reply.version != b"1.0" or not reply.raw_head.startswith(b"ICAP/1.0 %d " % reply.status):
            raise Violation(f"{name}: {reply.line!r}")
    return _audit(lab, "head")


def istag(lab: Lab) -> str:
    tags: set[tuple[str, bytes]] = set()
    short: list[str] = []
    for name, reply in _samples(lab).items():
        value = reply.get(b"ISTag")
        if reply.status == 100:
            continue
        if value is None and reply.status >= 300:
            short.append(f"{name}: {reply.status} has no ISTag")
            continue
        if value is None:
            raise Violation(f"{name}: {reply.status} has no ISTag")
        if not _ISTAG.fullmatch(value):
            raise Violation(f"{name}: ISTag is no quoted string of up to 32 characters: {printable(value)}")
        if reply.status < 300:
            tags.add((name.partition(" ")[0], value))
    if len(tags) > len(lab.services):
        raise Violation(f"one service gives {len(tags)} different ISTags")
    if short:
        raise Shortfall(short[0])
    return "on each answer, and the same"


def needed_heads(lab: Lab) -> str:
    for name, reply in _samples(lab).items():
        if reply.status not in {200, 206} or name.endswith("OPTIONS"):
            continue
        wanted = {"res-hdr"} if name.startswith("RESPMOD") else {"req-hdr", "res-hdr"}
        if not wanted & reply.heads.keys():
            raise Violation(f"{name}: {reply.status} names none of {', '.join(sorted(wanted))}")
    return "each 200 has its head"


def exact_offsets(lab: Lab) -> str:
    return _audit(lab, "encapsulated")


def chunked_bodies(lab: Lab) -> str:
    for name, sample in lab.samples.items():
        if sample.error is not None:
            raise Violation(f"{name}: {sample.error}")
        if sample.stray:
            raise Violation(f"{name}: stray bytes behind the answer")
    return _audit(lab, "chunks")


# --- messages that are changed


def _changed(lab: Lab, fields: list[bytes]) -> Iterator[tuple[Message, Reply]]:
    """Answers that change a body, with the message that was sent."""
    for service in lab.services:
        message = lab.loaded(service, fields)
        reply = lab.ask(lab.request(service, message, [b"Allow: 204"]))
        if reply.status == 200 and not is_block(message, reply) and not _is_echo(message, reply):
            yield message, reply


def is_block(message: Message, reply: Reply) -> bool:
    """Whether the answer is a page in the place of the message."""
    return "res-hdr" in reply.heads and (message.response is None or reply.http_status >= 400)


def _is_echo(message: Message, reply: Reply) -> bool:
    return reply.body is not None and reply.body.is_same_as(message.body or b"")


_UNCHANGED = "the service does not change the body with the trigger (see --trigger)"


def headers_of_a_changed_body(lab: Lab) -> str:
    fields = [
        b'ETag: "of-the-old-body"',
        b"Content-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==",
        b"Digest: sha-256=X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=",
        b"Accept-Ranges: bytes",
    ]
    seen = 0
    for message, reply in _changed(lab, fields):
        seen += 1
        length = reply.body.length if reply.body else 0
        value = find(reply.http_fields, b"Content-Length")
        if value is not None and value != b"%d" % length:
            raise Violation(f"a changed body of {length} bytes has Content-Length: {printable(value)}")
        for line in fields:
            name, _, old = line.partition(b": ")
            if find(reply.http_fields, name) == old:
                raise Violation(f"a changed body keeps its old {name.decode()}")
        for name in _HOP_BY_HOP:
            if find(reply.http_fields, name) is not None and find_in(message.head, name) is None:
                raise Violation(f"hop-by-hop {name.decode()} is encapsulated")
    if not seen:
        raise NotApplicable(_UNCHANGED)
    return f"{seen} changed bodies, their headers fixed or dropped"


def find_in(head: bytes, name: bytes) -> bytes | None:
    """A field of an HTTP head."""
    return next(
        (
            value.strip()
            for key, _, value in (line.partition(b":") for line in head.split(b"\r\n"))
            if key.lower() == name.lower()
        ),
        None,
    )


def untouched_echo(lab: Lab) -> str:
    odd = [b"Set-Cookie: a=1", b"x-oDD-case:  spaced ", b"X-Empty:", b"Set-Cookie: b=2", b"SET-COOKIE: c=3"]
    for service in lab.services:
        message = lab.message(service, fields=odd)
        reply = lab.ask(lab.request(service, message))
        if reply.status != 200:
            raise Violation(f"without 204 allowed: {reply.line}")
        if not _is_echo(message, reply):
            raise Violation("the body of a clean message comes back changed")
        lines = reply.http.split(b"\r\n")
        # A server may add a line of its own, such as Via.
        rest = iter(lines)
        for line in message.head.split(b"\r\n"):
            if not any(line == other for other in rest):
                raise Violation(f"the head comes back without, or elsewhere, {printable(line)!r}")
    return "order, spelling and duplicates as they came"


def via(lab: Lab) -> str:
    seen = 0
    for _, reply in _changed(lab, []):
        seen += 1
        values = b", ".join(value for name, value in reply.http_fields if name.lower() == b"via")
        if b"ICAP/1.0" not in values:
            raise Shortfall("a changed message has no Via: ICAP/1.0")
    if not seen:
        raise NotApplicable(_UNCHANGED)
    return "on changed messages"


def credentials_untouched(lab: Lab) -> str:
    fields = [b'WWW-Authenticate: Basic realm="x"', b"Authorization: Basic dXNlcjpwYXNz"]
    for service in lab.services:
        reply = lab.ask(lab.request(service, lab.message(service, fields=fields)))
        if reply.status not in {200, 204}:
            raise Violation(f"a message with credentials: {reply.line}")
        for line in fields:
            name, _, value = line.partition(b": ")
            if reply.http and find(reply.http_fields, name) != value:
                raise Violation(f"{name.decode()} is changed")
    return "as they came"


def lifetime(lab: Lab) -> str:
    seen = 0
    for message, reply in _changed(lab, [b"Cache-Control: max-age=60"]):
        if message.response is None:
            continue
        seen += 1
        ages = [int(age) for age in _MAX_AGE.findall(cache_control(reply.http_fields))]
        if any(age > 60 for age in ages):
            raise Violation(f"max-age=60 has become {max(ages)}")
        stored = not any(word in cache_control(reply.http_fields).lower() for word in _NOT_STORED)
        if stored and not ages and find(reply.http_fields, b"Expires") != _PAST:
            raise Violation("max-age=60 is gone, and nothing shorter is in its place")
    if not seen:
        raise NotApplicable(_UNCHANGED)
    return "no longer than the origin's"


def cache_control(fields: Fields) -> bytes:
    """All of Cache-Control."""
    return b", ".join(value for name, value in fields if name.lower() == b"cache-control")


def cache_directives(lab: Lab) -> str:
    for name, reply in _samples(lab).items():
        if name.startswith("RESPMOD") and reply.get(b"Cache-Control") is not None:
            raise Shortfall(f"{name}: Cache-Control stands in the ICAP head, not in the response's")
    return "a response's are in its own head"


_MUST, _SHOULD = Level.MUST, Level.SHOULD
CHECKS = (
    Check(48, _MUST, "4.3.3", "`ICAP/1.0 NNN reason`, CRLF everywhere", status_line),
    Check(49, _MUST, "4.7", "a quoted ISTag of up to 32 characters on each answer but 100", istag),
    Check(50, _MUST, "4.8.2, 4.9.2, Squid", "200 has the head of what it answers", needed_heads),
    Check(51, _MUST, "4.4.1", "Encapsulated's offsets are exact", exact_offsets),
    Check(52, _MUST, "4.4", "bodies are chunked to their last chunk, and nothing follows", chunked_bodies),
    Check(53, _MUST, "4.4.2", "headers that describe the old body are fixed", headers_of_a_changed_body),
    Check(54, _MUST, "4.4", "an unchanged message comes back byte for byte", untouched_echo),
    Check(55, _SHOULD, "4.4.2", "Via: ICAP/1.0 on changed messages", via),
    Check(56, _MUST, "7.1", "WWW-Authenticate and Authorization stay", credentials_untouched),
    Check(57, _MUST, "5", "a changed response lives no longer than the origin's", lifetime),
    Check(58, _SHOULD, "5", "a response's cache directives stand in the response", cache_directives),
)
