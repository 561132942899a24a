"""The final steps of a transaction: its record, then the reply that it backs."""

from dataclasses import dataclass
from typing import Literal

from icapd.http.headers import Headers
from icapd.http.heads import MessageHead, RequestHead, ResponseHead
from icapd.icap import AdaptedData, AdaptedEnd, AdaptedHead, Method, ModRequest, Reply, Unmodified
from icapd.services import block_page
from icapd.services.options import quoted
from icapd.services.transaction import TXN_HEADER, Transaction


@dataclass(frozen=True, slots=True)
class Record:
    """Make the transaction's record durable now.

    `final`: its one row. `open`: provisional, for a message that begins to flow (again: with new findings).
    `close`: the row that takes the place of the open one.
    """

    phase: Literal["final", "open", "close"]


Step = Reply | Record


def unmodified(transaction: Transaction) -> list[Step]:
    return [Record("final"), Unmodified(reply_headers(transaction))]


def adapted(transaction: Transaction, head: MessageHead, body: bytes) -> list[Step]:
    """The message with this head and body; a body only where the virgin message has one."""
    return [Record("final"), *_message(transaction, head, transaction.request.has_body, body)]


def flow_begins(transaction: Transaction, head: MessageHead) -> list[Step]:
    """The head of a message whose verdict is not known yet, so that its reply can't name one."""
    return [Record("open"), AdaptedHead(head, True, reply_headers(transaction, with_verdict=False))]


def flow_ends(data: bytes = b"") -> list[Step]:
    """The last piece, and the end. The row is closed before they leave."""
    return [Record("close"), AdaptedData(data), AdaptedEnd()]


def blocked(transaction: Transaction, page: block_page.Block) -> list[Step]:
    """The block page in the place of the message; in REQMOD it satisfies the request (RFC 3507 3.1)."""
    transaction.disposition = "blocked"
    if transaction.request.method is Method.REQMOD:
        transaction.http_status = page.status
    return [Record("final"), *page_reply(transaction, page)]


def page_reply(transaction: Transaction, page: block_page.Block) -> list[Reply]:
    """The block page with no record before it: for when there can be none."""
    head, body = block_page.render(page, transaction.request.request_head)
    return _message(transaction, head, bool(body), body)


def _message(transaction: Transaction, head: MessageHead, has_body: bool, body: bytes) -> list[Reply]:
    data = [AdaptedData(body)] if body else []
    return [AdaptedHead(head, has_body, reply_headers(transaction)), *data, AdaptedEnd()]


def reply_headers(transaction: Transaction, *, with_verdict: bool = True) -> Headers:
    """The ICAP headers of every reply to a REQMOD or RESPMOD."""
    items = [(b"ISTag", quoted(transaction.policy.istag)), (TXN_HEADER, transaction.txn_id.encode())]
    if with_verdict:
        items.append((b"X-Icapd-Verdict", transaction.verdict.verdict.encode()))
    return Headers(tuple(items))


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
