"""Transactions run through codec and adaptation without a socket: bytes in, bytes and records out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from support import wire
from support.policies import KEY

from icapd.audit import AuditRecord
from icapd.http.codings import CodingLimits
from icapd.icap import BodyData, BodyEnd, Connection, ModRequest, PreviewEnd
from icapd.inspection import Fingerprinter, InspectionLimits
from icapd.policy import Policy
from icapd.services.adaptation import Adaptation
from icapd.services.answers import AdaptationOptions, Record, Step, Work
from icapd.services.body_memory import BodyMemory
from icapd.services.catalogue import Catalogue, ServiceOptions, make_catalogue
from icapd.services.identity import identity_of
from icapd.services.transaction import Transaction

CONTINUE = b"ICAP/1.0 100 Continue\r\n\r\n"
MAX_BUFFERED = 4096
PLENTY = BodyMemory(2**40)
LIMITS = InspectionLimits(
    buffered_coding=CodingLimits(max_size=8192, max_ratio=200),
    streamed_coding=CodingLimits(max_size=None, max_ratio=200),
)


def catalogue_of(
    policy: Policy,
    mode: Literal["open", "closed"] = "open",
    scan_timeout: float = 5.0,
    *,
    verdict_trailer: bool = False,
    patience: float = LIMITS.patience,
) -> Catalogue:
    adaptation = AdaptationOptions(
        MAX_BUFFERED,
        blocks_uninspected=mode == "closed",
        contact="security@example",
        via="icapd",
        verdict_trailer=verdict_trailer,
    )
    options = ServiceOptions(1024, 600, 100, adaptation, adaptation)
    limits = replace(LIMITS, scan_timeout=scan_timeout, patience=patience)
    return make_catalogue(policy, Fingerprinter(b"k" * 32), limits, options)


@dataclass
class Outcome:
    """What came of one request: the bytes sent, and the records in their order."""

    sent: bytes = b""
    records: list[tuple[str, AuditRecord]] = field(default_factory=list)

    @property
    def status(self) -> int:
        """Of the final reply."""
        return int(self._final[9:12])

    @property
    def _final(self) -> bytes:
        return self.sent.removeprefix(CONTINUE)

    @property
    def http_head(self) -> bytes:
        payload = self._final.partition(b"\r\n\r\n")[2]
        return payload.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"

    @property
    def body(self) -> bytes:
        """Of the adapted message; its framing is checked to the last byte."""
        icap_head, _, payload = self._final.partition(b"\r\n\r\n")
        data = payload[len(self.http_head) :]
        if b"null-body" in icap_head:
            assert data == b""
            return b""
        body, rest = wire.dechunked(data)
        assert rest == b""
        return body

    @property
    def record(self) -> AuditRecord:
        """The one row of the transaction."""
        final = [record for phase, record in self.records if phase != "open"]
        assert len(final) == 1
        return final[0]


@dataclass(frozen=True)
class Previewed:
    """A request with a preview: `rest` travels only after 100 Continue, as from Squid."""

    upfront: bytes
    rest: bytes = b""


def adapt(
    catalogue: Catalogue,
    *data: bytes | Previewed,
    sizes: Sequence[int] = (),
    memory: BodyMemory = PLENTY,
    bypass: str = "",
    now_us: int = 1_000_000,
) -> Outcome:
    """Run one request through codec and adaptation; records are taken down before the bytes behind them."""
    connection, outcome = Connection(), Outcome()
    adaptation: Adaptation | None = None

    def perform(steps: list[Step]) -> None:
        assert adaptation is not None
        for step in steps:
            if isinstance(step, Work):
                perform(step.run())
            elif isinstance(step, Record):
                outcome.records.append((step.phase, service.record(adaptation.transaction, 5)))
            else:
                outcome.sent += connection.send(step)

    for piece in _travelling(data, sizes, outcome):
        connection.receive_data(piece)
        while (event := connection.next_event()) is not None:
            if isinstance(event, ModRequest):
                service = catalogue.services[event.path]
                transaction = Transaction(event, catalogue.policy, now_us, identity_of(event.headers))
                adaptation = service.adaptation(transaction, memory)
                unseen = transaction.unseen(overloaded=False) or bypass
                perform(adaptation.bypass(unseen) if unseen else adaptation.begin())
            else:
                assert adaptation is not None and isinstance(event, BodyData | PreviewEnd | BodyEnd)
                perform(adaptation.handle(event))
    return outcome


def _travelling(data: Sequence[bytes | Previewed], sizes: Sequence[int], outcome: Outcome) -> Iterator[bytes]:
    for part in data:
        if isinstance(part, bytes):
            yield from wire.pieces(part, sizes)
            continue
        yield from wire.pieces(part.upfront, sizes)
        if outcome.sent.startswith(CONTINUE):
            yield from wire.pieces(part.rest, sizes)


JSON = b'{"user": "ann", "key": "%b", "n": 1e3}' % KEY
REDACTED_JSON = b'{"user": "ann", "key": "KEY-[REDACTED]", "n": 1e3}'


def response(body: bytes, content_type: bytes = b"application/json", *headers: bytes) -> bytes:
    lines = b"".join(line + b"\r\n" for line in headers)
    return b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n%b\r\n" % (
        content_type,
        len(body),
        lines,
    )


def respmod_of(
    body: bytes, content_type: bytes = b"application/json", *headers: bytes, **icap: str
) -> Previewed:
    """A response as Squid sends it: a preview of up to 1024 bytes, and the rest behind it."""
    preview, rest = body[:1024], body[1024:]
    http = response(body, content_type, *headers)
    chunks = wire.chunked(*([preview] if preview else []), ieof=not rest)
    upfront = wire.respmod(http, chunks, Preview="1024", **icap)
    return Previewed(upfront, wire.chunked(*([rest] if rest else [])))
