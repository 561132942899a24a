"""What a check works with: connections to the server, its services, and samples of what it answers."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

from icapd.conformance import messages
from icapd.conformance.check import NotApplicable, Violation
from icapd.conformance.conversation import Closed, Conversation, Sending
from icapd.conformance.messages import Message
from icapd.conformance.replies import Reply
from icapd.conformance.target import Target

#: Text that icapd's own rules take out of bodies: it has the form of an AWS access key, and opens nothing.
DEFAULT_TRIGGER = "AKIA" + "Q3EGRIV7SDBN2XKP"
#: Text that icapd's own rules block in requests.
DEFAULT_BLOCK_TRIGGER = "<script>alert(1)</script>"


@dataclass(frozen=True, slots=True)
class Options:
    """How the checks are made."""

    #: Seconds without a byte after which an answer is taken as missing.
    timeout: float = 5.0
    #: Seconds for which nothing must arrive, where nothing may.
    pause: float = 1.0
    #: Seconds that a check may wait for the server's own time limits to end a connection; 0: none waits.
    wait: float = 0.0
    #: Text in a body that the server changes or blocks; "" when there is none.
    trigger: str = DEFAULT_TRIGGER
    #: Text in a request that the server blocks; "" when there is none.
    block_trigger: str = DEFAULT_BLOCK_TRIGGER
    #: Seconds within which OPTIONS should be answered: Squid makes all other traffic wait for them.
    options_limit: float = 0.1


@dataclass(frozen=True, slots=True)
class Service:
    """One ICAP service of the server, as its OPTIONS describe it."""

    path: str
    options: Reply

    @property
    def methods(self) -> frozenset[bytes]:
        """What it adapts, in capitals."""
        return frozenset(method.upper() for method in self.options.get_list(b"methods"))

    @property
    def preview(self) -> int | None:
        """How large a preview it wants; None: it wants none."""
        value = self.options.get(b"preview")
        return int(value) if value is not None and value.isdigit() else None


class Lab:
    """One server under test."""

    def __init__(
        self, target: Target, reqmod: Service | None, respmod: Service | None, options: Options = Options()
    ) -> None:
        self.target = target
        self.options = options
        self._reqmod, self._respmod = reqmod, respmod

    # --- services

    @property
    def services(self) -> list[Service]:
        """The services to look at; one URI that takes both methods stands here twice."""
        return [service for service in (self._reqmod, self._respmod) if service is not None]

    @property
    def reqmod(self) -> Service:
        """The service for requests; NotApplicable when there is none."""
        if self._reqmod is None:
            raise NotApplicable("the server has no REQMOD service here (see --reqmod)")
        return self._reqmod

    @property
    def respmod(self) -> Service:
        """The service for responses; NotApplicable when there is none."""
        if self._respmod is None:
            raise NotApplicable("the server has no RESPMOD service here (see --respmod)")
        return self._respmod

    @property
    def service(self) -> Service:
        """Any one of them: that for responses where there is one."""
        return self._respmod or self.reqmod

    @property
    def previewing(self) -> Service:
        """A service that wants previews: only to such a one may a client send them (RFC 3507 section 4.5)."""
        for service in reversed(self.services):
            if service.preview is not None:
                return service
        raise NotApplicable("OPTIONS has no Preview")

    # --- messages

    def message(
        self,
        service: Service,
        body: bytes | None = b'{"message": "hello"}',
        content_type: bytes = b"application/json",
        fields: Iterable[bytes] = (),
        *,
        path: bytes = b"/",
        with_length: bool = True,
    ) -> Message:
        """A message that the service adapts."""
        if service is self._respmod:
            return messages.response(body, content_type, fields, path=path, with_length=with_length)
        if body is None:
            return Message(messages.get(path, fields))
        return messages.post(body, content_type, fields, path=path, with_length=with_length)

    def image(self, service: Service, *, path: bytes = b"/") -> Message:
        """The heads of a message that no rule on text reads, and that does not tell how long it is."""
        return self.message(service, b"", b"image/png", path=path, with_length=False)

    def loaded(self, service: Service, fields: Iterable[bytes] = ()) -> Message:
        """A message that the service changes or blocks; NotApplicable without a trigger."""
        if not self.options.trigger:
            raise NotApplicable("needs a text that the service changes or blocks (see --trigger)")
        return self.message(service, messages.note(self.options.trigger), fields=fields)

    # --- requests

    def head(
        self,
        method: bytes,
        path: str,
        fields: Iterable[bytes] = (),
    ) -> bytes:
        """An ICAP head to this server."""
        return messages.icap_head(method, self.target.uri(path), self.target.authority, fields)

    def options_request(self, path: str | None = None, fields: Iterable[bytes] = ()) -> bytes:
        """OPTIONS of a service."""
        return self.head(b"OPTIONS", path or self.service.path, fields)

    def request(
        self,
        service: Service,
        message: Message,
        fields: Sequence[bytes] = (),
        *,
        chunks: bytes | None = None,
        method: bytes | None = None,
    ) -> bytes:
        """A whole request without a preview; `chunks`: the body as it travels, else in one chunk."""
        head = self.request_head(service, message, fields, method=method)
        if message.body is None:
            return head
        return head + (chunks if chunks is not None else messages.chunked(message.body))

    def request_head(
        self, service: Service, message: Message, fields: Sequence[bytes] = (), *, method: bytes | None = None
    ) -> bytes:
        """A request as far as its HTTP heads."""
        lines = [*fields, b"Encapsulated: " + messages.encapsulated(message)]
        icap = self.head(method or message.method, service.path, lines)
        return icap + message.request + (message.response or b"")

    def previewed(
        self, service: Service, message: Message, fields: Sequence[bytes] = (), size: int = 1024
    ) -> Sending:
        """A request with a preview of up to `size` bytes, as Squid sends it."""
        lines = [b"Preview: %d" % size, *fields]
        if message.body is None:
            return Sending(self.request(service, message, lines))
        first, rest = message.body[:size], message.body[size:]
        upfront = self.request(service, message, lines, chunks=messages.chunked(first, ieof=not rest))
        return Sending(upfront, messages.chunked(rest) if rest else None)

    # --- connections

    @contextmanager
    def conversation(self) -> Iterator[Conversation]:
        """A connection of its own."""
        with Conversation(self.target, self.options.timeout) as conversation:
            yield conversation

    def ask(self, data: bytes, what: str = "") -> Reply:
        """The answer to these bytes on a connection of its own. `what`: how to name them if none comes."""
        try:
            with self.conversation() as conversation:
                conversation.send(data)
                return conversation.reply()
        except Violation as error:
            raise type(error)(f"{what}: {error}" if what else str(error)) from None

    def transact(self, sending: Sending) -> Reply:
        """The final answer to a request on a connection of its own."""
        with self.conversation() as conversation:
            return conversation.transact(sending)[1]

    def expect_alive(self, after: str) -> None:
        """Violation when the server does not answer any more."""
        try:
            reply = self.ask(self.options_request())
        except Violation as error:
            raise Violation(f"the server is gone after {after}: {error}") from None
        if reply.status != 200:
            raise Violation(f"after {after}, OPTIONS get {reply.line}")

    def expect_next(self, conversation: Conversation, after: str) -> Reply:
        """The answer to OPTIONS on the same connection; Violation when it is not 200."""
        conversation.send(self.options_request())
        try:
            reply = conversation.reply()
        except Violation as error:
            raise Violation(f"the next request on the connection, after {after}: {error}") from None
        if reply.status != 200:
            raise Violation(f"the next request on the connection, after {after}, gets {reply.line}")
        return reply

    def refuses(self, data: bytes, statuses: frozenset[int] = frozenset({400})) -> str | None:
        """None when the bytes are refused, by one of these statuses or by closing; else what came instead."""
        try:
            reply = self.ask(data)
        except Closed:
            return None
        except Violation as error:
            return str(error)
        return None if reply.status in statuses else reply.line

    # --- samples, made once

    @cached_property
    def samples(self) -> "dict[str, Sample]":
        """Answers of each kind that the server gives, by name, for the checks of its grammar."""
        found: dict[str, Sample] = {}
        for service in self.services:
            kind = "RESPMOD" if service is self._respmod else "REQMOD"
            for name, sending in self._sample_requests(service):
                found[f"{kind} {name}"] = self._sample(sending)
        return found

    def _sample_requests(self, service: Service) -> Iterator[tuple[str, Sending]]:
        clean = self.message(service)
        yield "OPTIONS", Sending(self.options_request(service.path))
        yield "unknown service", Sending(self.options_request("/no-such-service-here"))
        yield "with 204 allowed", Sending(self.request(service, clean, [b"Allow: 204"]))
        yield "with no 204 allowed", Sending(self.request(service, clean))
        yield "without a body", Sending(self.request(service, clean.with_body(None)))
        if service.preview is not None:
            yield "previewed", self.previewed(service, clean)
            long = self.message(service, messages.note("x" * 3000))
            yield "longer than its preview", self.previewed(service, long, size=min(1024, service.preview))
        if self.options.trigger:
            yield "with the trigger", Sending(self.request(service, self.loaded(service), [b"Allow: 204"]))
        if self.options.block_trigger and service is self._reqmod:
            blocked = self.message(service, messages.note(self.options.block_trigger))
            yield "with the block trigger", Sending(self.request(service, blocked))

    def _sample(self, sending: Sending) -> "Sample":
        started = time.monotonic()
        try:
            with self.conversation() as conversation:
                _, reply = conversation.transact(sending)
                stray = b""
                if not conversation.is_silent(self.options.pause / 10):
                    stray = conversation.unread(16)
                return Sample(reply, stray, None, time.monotonic() - started)
        except Violation as error:
            return Sample(None, b"", error, time.monotonic() - started)

    @property
    def sample_replies(self) -> dict[str, Reply]:
        """The samples that could be read."""
        return {name: sample.reply for name, sample in self.samples.items() if sample.reply is not None}


@dataclass(frozen=True, slots=True)
class Sample:
    """One answer, or what came in its place."""

    reply: Reply | None
    #: What came behind it.
    stray: bytes
    error: Violation | None
    seconds: float
