"""Lines 43 to 47: answers before the request's end, and both directions at once (RFC 3507 errata e7)."""

import hashlib
import itertools
from collections.abc import Iterator

from icapd.conformance import messages
from icapd.conformance.check import Check, Level, NotApplicable, Shortfall, Violation
from icapd.conformance.conversation import Closed, Conversation, CutShort
from icapd.conformance.lab import Lab
from icapd.conformance.replies import Reply

KiB = 1024
_PIECE = 64 * KiB
#: Bytes of a body of which an early answer is wanted: more than any server holds in its buffers.
_REST = 4096 * KiB
#: Bytes of a body that is sent without reading: more than both socket buffers hold.
_FLOOD = 32 * 1024 * KiB


def _noise(size: int) -> Iterator[bytes]:
    """Bytes that no rule reads, as chunks of a body."""
    piece = bytes(range(256)) * (_PIECE // 256)
    for _ in range(size // _PIECE):
        yield messages.chunked(piece)[:-5]


def _requests(lab: Lab) -> Iterator[tuple[str, bytes]]:
    """Heads of requests with a large body, which may be answered from their beginning."""
    for service in lab.services:
        image = lab.image(service)
        yield "with 204 allowed", lab.request_head(service, image, [b"Allow: 204"])
        text = lab.options.block_trigger
        if text:
            path = b"/?q=" + text.encode().replace(b"<", b"%3C").replace(b">", b"%3E").replace(b" ", b"%20")
            bad = lab.image(service, path=path)
            yield "with the block trigger in its URL", lab.request_head(service, bad)
    head = lab.request_head(lab.service, lab.image(lab.service))
    yield "to an unknown service", head.replace(lab.service.path.encode(), b"/no-such-service-here", 1)


def _early(lab: Lab, conversation: Conversation, head: bytes) -> Reply | None:
    """The final answer that comes while most of the body is still to be sent."""
    conversation.send(head + next(_noise(_PIECE)))
    if conversation.is_silent(lab.options.pause / 2):
        return None
    # A 200 that echoes the body has begun, and ends with it: that is no early answer.
    is_200 = conversation.unread(32).startswith(b"ICAP/1.0 200")
    if is_200 and not conversation.holds_whole_reply(lab.options.pause / 4):
        return None
    return conversation.reply()


def drains(lab: Lab) -> str:
    seen = []
    for what, head in _requests(lab):
        with lab.conversation() as conversation:
            reply = _early(lab, conversation, head)
            if reply is None:
                continue
            conversation.send_along(itertools.chain(_noise(_REST), [b"0\r\n\r\n"]))
            taken = conversation.finish_sending()
            if taken and not reply.announces_close:
                try:
                    lab.expect_next(conversation, f"the rest of a request {what}")
                except Closed:
                    taken = False
            seen.append(f"{what}: {reply.status}, {'drained' if taken else 'closed'}")
    if not seen:
        raise NotApplicable("the server answers nothing before the request's end")
    return "; ".join(dict.fromkeys(seen))


def announces_its_close(lab: Lab) -> str:
    tried = 0
    for what, head in _requests(lab):
        with lab.conversation() as conversation:
            reply = _early(lab, conversation, head)
            if reply is None:
                continue
            tried += 1
            conversation.send_along(itertools.chain(_noise(_REST), [b"0\r\n\r\n"]))
            taken = conversation.finish_sending()
            if not taken and not reply.announces_close:
                raise Violation(f"{what}: {reply.status} without Connection: close, and then closed")
            if taken and reply.announces_close and not conversation.is_closed(lab.options.timeout):
                raise Violation(f"{what}: {reply.status} with Connection: close, and not closed")
    if not tried:
        raise NotApplicable("the server answers nothing before the request's end")
    return f"{tried} early answers, no close that was not announced"


def duplex(lab: Lab) -> str:
    service = lab.service
    head = lab.request_head(service, lab.image(service))
    with lab.conversation() as conversation:
        body = itertools.chain([head], _noise(_FLOOD), [b"0\r\n\r\n"])
        taken = conversation.fill_up(body, lab.options.pause)
        # While one client does not read, the others are served.
        lab.expect_alive("a client that sends and does not read")
        reply = conversation.reply()
        conversation.finish_sending()
        if reply.status != 200 or reply.body is None:
            return f"{reply.line}"
        if reply.body.sha256.digest() != _hash(_FLOOD) or reply.body.length != _FLOOD:
            raise Violation(f"an echo of {_FLOOD} bytes came back as {reply.body.length}, or changed")
    return f"{_FLOOD >> 20} MiB echoed, {'held by the server' if taken else 'by back-pressure'}"


def _hash(size: int) -> bytes:
    digest = hashlib.sha256()
    for _ in range(size // _PIECE):
        digest.update(bytes(range(256)) * (_PIECE // 256))
    return digest.digest()


def whole_replies(lab: Lab) -> str:
    for name, sample in lab.samples.items():
        if isinstance(sample.error, CutShort):
            raise Violation(f"{name}: {sample.error}")
    return f"{len(lab.samples)} answers, each whole"


def first_byte_leaves_early(lab: Lab) -> str:
    service = lab.service
    head = lab.request_head(service, lab.image(service))
    with lab.conversation() as conversation:
        conversation.send(head)
        for piece in _noise(4 * _PIECE):
            conversation.send(piece)
        early = not conversation.is_silent(lab.options.pause)
        conversation.send(b"0\r\n\r\n")
        reply = conversation.reply()
    if reply.status != 200:
        raise NotApplicable(f"the service does not echo here: {reply.line}")
    if not early:
        raise Shortfall("nothing of an echo leaves before the whole body has arrived")
    return "an echo begins while its body still arrives"


_MUST, _SHOULD = Level.MUST, Level.SHOULD
CHECKS = (
    Check(43, _MUST, "e7", "after an early answer the rest is read, or the connection closed", drains),
    Check(44, _MUST, "e7", "reads and writes at once: no deadlock with a client that only sends", duplex),
    Check(45, _MUST, "e7, 6.2", "a close behind an early answer is announced in it", announces_its_close),
    Check(46, _MUST, "own", "never closed in the middle of an answer", whole_replies),
    Check(47, _SHOULD, "Squid", "an echo begins before its request has ended", first_byte_leaves_early),
)
