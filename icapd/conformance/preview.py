"""Lines 30 to 42: Preview, 100, 204 and 206 (RFC 3507 sections 4.5, 4.6; draft-icap-ext-partial-content)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from icapd.conformance import messages
from icapd.conformance.check import Check, Level, NotApplicable, Violation
from icapd.conformance.conversation import Sending
from icapd.conformance.lab import Lab, Service
from icapd.conformance.messages import Message
from icapd.conformance.replies import Reply, find

_FINAL = {200, 204}
_USE_ORIGINAL = re.compile(rb";[ \t]*use-original-body=(\d+)", re.IGNORECASE)


def _long(lab: Lab, service: Service) -> Message:
    """A message whose body is longer than what is previewed of it here."""
    return lab.message(service, messages.note("x" * 3000))


def _size(service: Service) -> int:
    return min(1024, service.preview or 0)


def one_answer(lab: Lab) -> str:
    service = lab.previewing
    seen = []
    for fields in ([], [b"Allow: 204"]):
        with lab.conversation() as conversation:
            sending = lab.previewed(service, _long(lab, service), fields, _size(service))
            continued, reply = conversation.transact(sending)
            if reply.status not in _FINAL:
                raise Violation(f"{'after 100' if continued else 'to a preview'}: {reply.line}")
            lab.expect_next(conversation, "a preview and its answer")
            seen.append(f"{'100, ' if continued else ''}{reply.status}")
    return "; ".join(seen)


def no_100_after_ieof(lab: Lab) -> str:
    service = lab.previewing
    bodies = [lab.message(service)]
    if lab.options.trigger:
        bodies.append(lab.loaded(service))
    for message in bodies:
        for fields in ([], [b"Allow: 204"]):
            reply = lab.ask(lab.previewed(service, message, fields).upfront)
            if reply.status == 100:
                raise Violation("100 to a preview that was the whole body")
            if reply.status not in _FINAL:
                raise Violation(f"to a preview that was the whole body: {reply.line}")
    return "a final answer each time"


def no_100_before_the_end(lab: Lab) -> str:
    service = lab.previewing
    sending = lab.previewed(service, _long(lab, service), [], max(2, _size(service)))
    half = len(sending.upfront) - 7 - max(2, _size(service)) // 2
    with lab.conversation() as conversation:
        conversation.send(sending.upfront[:half])
        if not conversation.is_silent(lab.options.pause):
            reply = conversation.reply()
            if reply.status == 100:
                raise Violation("100 in the middle of the preview")
            if reply.status not in _FINAL:
                raise Violation(f"in the middle of the preview: {reply.line}")
            return f"answered early: {reply.line}"
        conversation.send(sending.upfront[half:])
        reply = conversation.reply()
    if reply.status not in _FINAL | {100}:
        raise Violation(f"to a preview that came in two parts: {reply.line}")
    return f"silence until its end, then {reply.line}"


def no_204_unasked(lab: Lab) -> str:
    for service in lab.services:
        message = lab.message(service)
        for which in (message, message.with_body(None)):
            reply = lab.ask(lab.request(service, which))
            if reply.status == 204:
                raise Violation("204 to a request with neither Allow: 204 nor a preview")
            if reply.status != 200:
                raise Violation(f"to a request with neither Allow: 204 nor a preview: {reply.line}")
    return "200 with the whole message"


def no_204_after_100(lab: Lab) -> str:
    service = lab.previewing
    with lab.conversation() as conversation:
        sending = lab.previewed(service, _long(lab, service), [], _size(service))
        continued, reply = conversation.transact(sending)
    if not continued:
        raise NotApplicable("the service decided at the preview, without 100")
    if reply.status == 204:
        raise Violation("204 after 100, to a request without Allow: 204")
    if reply.status != 200:
        raise Violation(f"after 100: {reply.line}")
    return "200 after 100"


def nothing_behind_204(lab: Lab) -> str:
    tried = 0
    for name, sample in lab.samples.items():
        if sample.reply is None or sample.reply.status not in {100, 204}:
            continue
        tried += 1
        value = sample.reply.get(b"Encapsulated")
        if value is not None and b"null-body=0" not in value:
            raise Violation(f"{name}: {sample.reply.status} says that it carries something")
        if sample.stray:
            raise Violation(f"{name}: bytes behind a {sample.reply.status}")
    service = lab.service
    with lab.conversation() as conversation:
        for _ in range(2):
            conversation.send(lab.request(service, lab.message(service), [b"Allow: 204"]))
            tried += conversation.reply().status == 204
        lab.expect_next(conversation, "204")
    if not tried:
        raise NotApplicable("the server never answers 204")
    return f"{tried} answers, nothing behind them"


def minimal_100(lab: Lab) -> str:
    service = lab.previewing
    sending = lab.previewed(service, _long(lab, service), [], _size(service))
    reply = lab.ask(sending.upfront)
    if reply.status != 100:
        raise NotApplicable("the service decided at the preview, without 100")
    others = {name.lower() for name, _ in reply.fields} - {b"istag"}
    if others:
        raise Violation(f"100 with {b', '.join(sorted(others)).decode('ascii', 'replace')}")
    return reply.line


def preview_of_nothing(lab: Lab) -> str:
    service = lab.previewing
    with lab.conversation() as conversation:
        continued, reply = conversation.transact(lab.previewed(service, lab.message(service), [], 0))
        if reply.status not in _FINAL:
            raise Violation(f"Preview: 0 before a body: {reply.line}")
        lab.expect_next(conversation, "Preview: 0")
    return f"{'100, ' if continued else ''}{reply.line}"


def preview_of_another_size(lab: Lab) -> str:
    service = lab.previewing
    message = _long(lab, service)
    for advertised, sent in ((1024, 10), (10, 1024)):
        sending = lab.previewed(service, message, [], sent)
        line = b"Preview: %d\r\n"
        other = sending.upfront.replace(line % sent, line % advertised, 1)
        reply = lab.transact(Sending(other, sending.rest))
        if reply.status not in _FINAL:
            raise Violation(f"Preview: {advertised} with {sent} bytes: {reply.line}")
    return "taken"


# --- 206


@dataclass(frozen=True, slots=True)
class _Partial:
    """One request that gives the server a reason for 206, and its answer."""

    where: str
    allow: str
    reply: Reply
    received: int  # bytes of the body that the server had when it answered, at most

    @property
    def is_allowed(self) -> bool:
        """By draft-icap-ext-partial-content 4.2 and 5.1, as Squid has it."""
        tokens = self.allow.split(", ")
        return "206" in tokens and (self.where == "to a preview" or "204" in tokens)


def _matrix(lab: Lab) -> Iterator[_Partial]:
    """Each Allow in each place: with a body to change, and with a header to change."""
    for service in reversed(lab.services):
        for message in _changeable(lab, service):
            for allow in ("", "204", "206", "204, 206"):
                fields = [b"Allow: " + allow.encode()] if allow else []
                for where, sending in _places(lab, service, message, fields):
                    with lab.conversation() as conversation:
                        continued, reply = conversation.transact(sending)
                    length = len(message.body or b"")
                    received = min(length, _size(service)) if sending.rest and not continued else length
                    yield _Partial("after 100" if continued else where, allow, reply, received)


def _changeable(lab: Lab, service: Service) -> Iterator[Message]:
    text = lab.options.trigger
    if not text:
        raise NotApplicable("needs a text that the service changes (see --trigger)")
    yield lab.message(service, messages.note(text + " " + "x" * 3000))
    yield lab.loaded(service)
    header = b"X-Api-Key: " + text.encode()
    yield lab.message(service, messages.note("x" * 3000), fields=[header], path=b"/?key=" + text.encode())


def _places(
    lab: Lab, service: Service, message: Message, fields: list[bytes]
) -> Iterator[tuple[str, Sending]]:
    yield "without a preview", Sending(lab.request(service, message, fields))
    if service.preview is not None:
        size = _size(service)
        fits = len(message.body or b"") <= size
        yield "after ieof" if fits else "to a preview", lab.previewed(service, message, fields, size)


def _partials(lab: Lab) -> list[_Partial]:
    found = [partial for partial in _matrix(lab) if partial.reply.status == 206]
    if not found:
        raise NotApplicable("the server never answers 206")
    return found


def partial_only_where_allowed(lab: Lab) -> str:
    cases = list(_matrix(lab))
    partials = [case for case in cases if case.reply.status == 206]
    for case in partials:
        if not case.is_allowed:
            raise Violation(f"206 {case.where} with Allow: {case.allow or '(none)'}")
    return f"{len(partials)} of {len(cases)} cases answered 206, each allowed"


def partial_ends_as_it_should(lab: Lab) -> str:
    partials = _partials(lab)
    for partial in partials:
        match = _USE_ORIGINAL.match(partial.reply.last_chunk)
        if not partial.reply.heads or match is None:
            raise Violation("206 without heads, or without use-original-body on its last chunk")
        if int(match[1]) > partial.received:
            raise Violation(f"use-original-body={int(match[1])}, of {partial.received} bytes sent")
    return f"{len(partials)} answers of 206"


def partial_has_a_body(lab: Lab) -> str:
    for partial in _partials(lab):
        if partial.reply.body is None:
            raise Violation("206 with null-body: Squid delivers no body then")
    return "each 206 has a body section"


def lengths(lab: Lab) -> str:
    audited = 0
    for name, reply in lab.sample_replies.items():
        value = find(reply.http_fields, b"Content-Length")
        if reply.status != 200 or reply.body is None or value is None:
            continue
        audited += 1
        if not value.isdigit() or int(value) != reply.body.length:
            raise Violation(f"{name}: Content-Length is not {reply.body.length}, the body's length")
    return f"right in {audited} answers that have one"


_MUST, _SHOULD = Level.MUST, Level.SHOULD
CHECKS = (
    Check(30, _MUST, "4.5", "a preview gets exactly one of 100, 204, 200 (206)", one_answer),
    Check(31, _MUST, "4.5", "no 100 after ieof", no_100_after_ieof),
    Check(32, _MUST, "Squid", "no 100 before the preview's end", no_100_before_the_end),
    Check(33, _MUST, "4.6", "no 204 without Allow: 204 or a preview", no_204_unasked),
    Check(34, _MUST, "4.6, Squid", "no 204 after 100 without Allow: 204", no_204_after_100),
    Check(35, _MUST, "e1, Squid", "nothing follows a 204 or 100", nothing_behind_204),
    Check(36, _SHOULD, "e1", "100 is its status line, with ISTag at most", minimal_100),
    Check(37, _MUST, "4.5", "Preview: 0 before a body gets its verdict, or 100", preview_of_nothing),
    Check(38, _SHOULD, "4.5", "a preview of another size than told is no error", preview_of_another_size),
    Check(39, _MUST, "PC 4.2, 5.1, Squid", "206 only where it is allowed", partial_only_where_allowed),
    Check(40, _MUST, "PC 5.2, Squid", "206 has heads and use-original-body=N", partial_ends_as_it_should),
    Check(41, _MUST, "Squid", "206 has a body section, even for a changed head", partial_has_a_body),
    Check(42, _SHOULD, "HTTP", "Content-Length of an answer is right, or absent", lengths),
)
