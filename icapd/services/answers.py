"""The final steps of a transaction: its record, then the reply that it backs."""

from collections.abc import Callable
from dataclasses import dataclass, field

from icapd.audit import Phase
from icapd.errors import OutOfPatience
from icapd.http.adapted import with_via
from icapd.http.headers import Headers
from icapd.http.heads import MessageHead, RequestHead, ResponseHead
from icapd.http.normalising import Normalisation
from icapd.icap import (
    AdaptedData,
    AdaptedEnd,
    AdaptedHead,
    Method,
    ModRequest,
    PartialContent,
    Reply,
    Unmodified,
)
from icapd.services.options import quoted
from icapd.services.transaction import TXN_HEADER, Transaction

VERDICT_HEADER = b"X-Icapd-Verdict"
#: Bytes at the end of a redacted body that are worth being left out of the reply.
_WORTH_A_206 = 256
# What was done about a violation, in the numbers of draft-stecher-icap-subid-00 section 4.5.
_RESOLUTIONS = {"redacted": 1, "blocked": 2}


@dataclass(frozen=True, slots=True)
class Record:
    """Make the transaction's record durable now."""

    phase: Phase


@dataclass(frozen=True, slots=True)
class Work:
    """What may take long, to be run where nobody waits for it; its steps take the place of this one."""

    run: Callable[[], "list[Step]"]


Step = Reply | Record | Work


def patiently(move: Callable[[], list[Step]], again: Callable[[], list[Step]]) -> list[Step]:
    """The steps of a move; where that takes too long, the work of making it `again`, with patience."""
    try:
        return move()
    except OutOfPatience:
        return [Work(again)]


@dataclass(frozen=True, slots=True)
class AdaptationOptions:
    """What the settings say about adaptations of one service."""

    max_buffered_body: int
    #: Whether a message that can't be inspected is blocked (fail mode `closed`).
    blocks_uninspected: bool
    #: Whom a blocked person may ask.
    contact: str = ""
    #: Our name in the Via of changed messages; "": no Via.
    via: str = ""
    #: Whether the verdict of a message that flowed is told behind it, to those who allow trailers.
    verdict_trailer: bool = False
    #: What becomes of requests that would blind the inspection of their responses.
    normalisation: Normalisation = field(default_factory=Normalisation)


@dataclass(frozen=True, slots=True)
class ChangedPart:
    """What a redaction changed: behind it, both bodies are the same to their ends."""

    #: The adapted body up to the end of its last change.
    data: bytes = field(repr=False)
    #: Where that is in the virgin body.
    original_end: int


def unmodified(transaction: Transaction) -> list[Step]:
    """204, or what stands for it."""
    return [Record("final"), Unmodified(reply_headers(transaction))]


def adapted(
    transaction: Transaction,
    options: AdaptationOptions,
    head: MessageHead,
    body: bytes,
    trailers: Headers = Headers(),
) -> list[Step]:
    """The message with this head and body; a body only where the virgin message has one."""
    has_body = transaction.request.has_body
    head = _signed(head, options)
    return [Record("final"), *message(transaction, head, has_body, body, trailers)]


_NOTHING = ChangedPart(b"", 0)


def partly_adapted(
    transaction: Transaction, options: AdaptationOptions, head: MessageHead, part: ChangedPart = _NOTHING
) -> list[Step]:
    """206: the part, and behind it the rest of the virgin body, which the client still holds."""
    head = _signed(head, options)
    return [Record("final"), PartialContent(head, part.data, part.original_end, reply_headers(transaction))]


def changed(
    transaction: Transaction,
    options: AdaptationOptions,
    head: MessageHead,
    raw: bytes,
    body: bytes,
    held: int,
) -> list[Step]:
    """The message with a body that was changed; `held`: as Exchange.held_for_206."""
    part = changed_part(raw, body)
    if part is not None and part.original_end <= held:
        return partly_adapted(transaction, options, head, part)
    return adapted(transaction, options, head, body)


def changed_part(raw: bytes, changed: bytes) -> ChangedPart | None:
    """What has to travel of a changed body; None when next to nothing is saved by leaving out its end."""
    same = _common_end(raw, changed)
    if same < _WORTH_A_206:
        return None
    return ChangedPart(changed[: len(changed) - same], len(raw) - same)


def _common_end(one: bytes, other: bytes) -> int:
    """How many bytes two strings share at their ends."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[len(one) - middle :] == other[len(other) - middle :]:
            low = middle
        else:
            high = middle - 1
    return low


def flow_begins(transaction: Transaction, options: AdaptationOptions, head: MessageHead) -> list[Step]:
    """The head of a message whose verdict is not known yet: its reply names it in a trailer, if at all."""
    names = (VERDICT_HEADER,) if _tells_behind(transaction, options) else ()
    headers = reply_headers(transaction, with_verdict=False)
    return [Record("open"), AdaptedHead(_signed(head, options), True, headers, names)]


def flow_ends(
    transaction: Transaction, options: AdaptationOptions, data: bytes = b"", trailers: Headers = Headers()
) -> list[Step]:
    """The last piece, and the end. The row is closed before they leave."""
    told = Headers((_verdict(transaction),)) if _tells_behind(transaction, options) else Headers()
    return [Record("close"), AdaptedData(data), AdaptedEnd(trailers, told)]


def _tells_behind(transaction: Transaction, options: AdaptationOptions) -> bool:
    return options.verdict_trailer and transaction.request.allows_trailers


def message(
    transaction: Transaction,
    head: MessageHead,
    has_body: bool,
    body: bytes,
    trailers: Headers = Headers(),
) -> list[Reply]:
    """A whole message as a 200."""
    data = [AdaptedData(body)] if body else []
    return [AdaptedHead(head, has_body, reply_headers(transaction)), *data, AdaptedEnd(trailers)]


def reply_headers(transaction: Transaction, *, with_verdict: bool = True) -> Headers:
    """The ICAP headers of every reply to a REQMOD or RESPMOD."""
    items = [(b"ISTag", quoted(transaction.policy.istag)), (TXN_HEADER, transaction.txn_id.encode())]
    if with_verdict:
        items.append(_verdict(transaction))
    resolution = _RESOLUTIONS.get(transaction.disposition)
    threat = transaction.gravest_rule
    if resolution and threat:
        # draft-stecher-icap-subid-00 section 4.5; type 1 is a violation of a policy.
        items.append(
            (b"X-Infection-Found", b"Type=1; Resolution=%d; Threat=%b;" % (resolution, threat.encode()))
        )
    return Headers(tuple(items))


def _verdict(transaction: Transaction) -> tuple[bytes, bytes]:
    return VERDICT_HEADER, transaction.verdict.verdict.encode()


def _signed(head: MessageHead, options: AdaptationOptions) -> MessageHead:
    """A changed head with our Via; one that stands as it came has its bytes still."""
    return head if head.raw or not options.via else with_via(head, options.via)


def virgin_head(request: ModRequest) -> MessageHead:
    """The head of the message to adapt; a plain one where the client left it out (RFC 3507 section 4.4.1)."""
    if request.method is Method.REQMOD:
        return request.request_head or RequestHead(b"POST", b"/")
    return request.response_head or ResponseHead(200, b"OK")


def is_upgrade(head: MessageHead) -> bool:
    """Whether this is a request for another protocol (RFC 9110 section 7.8), or the consent to one."""
    if isinstance(head, ResponseHead):
        return head.status == 101
    return head.headers.get(b"upgrade") is not None


def is_range(head: MessageHead) -> bool:
    """Whether this response carries a part of its resource only (RFC 9110 section 15.3.7)."""
    return isinstance(head, ResponseHead) and head.status == 206
