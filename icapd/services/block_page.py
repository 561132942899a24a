"""What a client gets in the place of a message that was not let through."""

import html
import json
import string
from collections.abc import Iterable
from dataclasses import dataclass

from icapd.http.acceptance import preferred_type
from icapd.http.headers import Headers
from icapd.http.heads import RequestHead, ResponseHead
from icapd.http.media_types import MediaType

_PAGE = string.Template(
    """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; color: #222 }
body { max-width: 40rem; margin: 4rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem }
code { background: #f2f2f2; padding: .1rem .3rem }
</style>
</head>
<body>
<h1>$title</h1>
<p>$explanation</p>
$rules<p>If you think that this is wrong, give this number to $contact: <code>$txn_id</code></p>
</body>
</html>
"""
)
# The first one is for clients that ask for nothing in particular (`*/*`): people with curl, and scripts.
_OFFERED = ("text/plain", "text/html", "application/json")
# Nobody reads more than these.
_MAX_MESSAGES = 3
_REASONS = {403: b"Forbidden", 503: b"Service Unavailable"}


@dataclass(frozen=True, slots=True)
class Block:
    """Why a message was blocked, in words that may be shown: never what was matched."""

    txn_id: str
    title: str
    explanation: str
    rule_ids: tuple[str, ...] = ()
    status: int = 403
    #: Whom to ask; "" stands for "your administrator".
    contact: str = ""


def blocked_by_rules(
    txn_id: str, rule_ids: Iterable[str], messages: Iterable[str], subject: str, contact: str
) -> Block:
    """`messages`: what the rules themselves say of it, some "". `subject`: "request" or "response"."""
    said = [message for message in dict.fromkeys(messages) if message.strip()][:_MAX_MESSAGES]
    general = f"The {subject} breaks a rule of your organisation, so the proxy did not let it through."
    return Block(
        txn_id,
        f"This {subject} was blocked",
        " ".join(said) or general,
        tuple(rule_ids),
        contact=contact,
    )


def not_inspected(txn_id: str, reason: str, subject: str, contact: str) -> Block:
    """A block by fail mode `closed`; `reason`: the word in the audit row."""
    return Block(
        txn_id,
        f"This {subject} could not be inspected",
        f"The proxy lets through only what it has inspected, and this {subject} could not be ({reason}).",
        contact=contact,
    )


def not_recorded(txn_id: str, subject: str, contact: str) -> Block:
    """A block because the audit record could not be written."""
    return Block(
        txn_id,
        f"This {subject} could not be recorded",
        "The proxy lets through only what it has recorded, and its record could not be written just now.",
        status=503,
        contact=contact,
    )


def render(block: Block, request: RequestHead | None) -> tuple[ResponseHead, bytes]:
    """The block page as an HTTP response: HTML, JSON or plain text, by what the client takes.

    The body is empty for HEAD, whose Content-Length still tells the length the page would have.
    """
    media_type = _media_type(request)
    body = _RENDERERS[media_type](block)
    headers = Headers(
        (
            (b"Content-Type", media_type.encode() + b"; charset=utf-8"),
            # Squid 5.7 takes a small page without a length for a truncated one (bug 5187).
            (b"Content-Length", b"%d" % len(body)),
            (b"Cache-Control", b"no-store"),
            (b"X-Content-Type-Options", b"nosniff"),
            (b"X-Icapd-Txn", block.txn_id.encode()),
        )
    )
    head = ResponseHead(block.status, _REASONS[block.status], headers=headers)
    return head, b"" if request is not None and request.method == b"HEAD" else body


def _media_type(request: RequestHead | None) -> str:
    if request is None:
        return _OFFERED[0]
    accepted = preferred_type(request.headers.get(b"accept"), _OFFERED)
    if accepted == _OFFERED[0] and MediaType.parse(request.headers.get(b"content-type")).format == "json":
        # It names no type that we have, but it speaks JSON itself: an API client.
        return "application/json"
    return accepted


def _html(block: Block) -> bytes:
    items = "".join(f"<li><code>{html.escape(rule_id)}</code></li>" for rule_id in block.rule_ids)
    page = _PAGE.substitute(
        title=html.escape(block.title),
        explanation=html.escape(block.explanation),
        rules=f"<p>Rules:</p>\n<ul>{items}</ul>\n" if items else "",
        contact=html.escape(block.contact or "your administrator"),
        txn_id=html.escape(block.txn_id),
    )
    return page.encode()


def _json(block: Block) -> bytes:
    document = {
        "error": {
            "code": "blocked_by_icapd",
            "message": f"{block.title}. {block.explanation}",
            "rules": block.rule_ids,
            "transaction": block.txn_id,
            "contact": block.contact or "your administrator",
        }
    }
    return json.dumps(document, ensure_ascii=False).encode() + b"\n"


def _plain(block: Block) -> bytes:
    lines = [f"{block.title}.", block.explanation]
    if block.rule_ids:
        lines.append(f"Rules: {', '.join(block.rule_ids)}")
    contact = block.contact or "your administrator"
    lines.append(f"If you think that this is wrong, give this number to {contact}:")
    lines.append(block.txn_id)
    return "\n".join(lines).encode() + b"\n"


_RENDERERS = {"text/html": _html, "application/json": _json, "text/plain": _plain}
