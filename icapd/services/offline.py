"""Messages from files instead of a wire: what `icapd scan` does with each."""

from dataclasses import dataclass, field
from typing import Literal

from icapd.errors import CodingError
from icapd.http.codings import SUPPORTED, Decoder, parse_content_codings
from icapd.http.headers import Headers
from icapd.http.heads import MessageHead, RequestHead, ResponseHead
from icapd.http.media_types import MediaType
from icapd.inspection import Finding, Inspector
from icapd.policy import Action
from icapd.services.examination import examine_head, examine_text, risk_score, size_findings


@dataclass(frozen=True, slots=True)
class Message:
    """One request or response, whole."""

    direction: Literal["request", "response"]
    method: bytes
    url: bytes
    headers: Headers
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Examined:
    """What the policy makes of a message."""

    findings: tuple[Finding, ...]
    #: In no coding, with what the rules redact taken out.
    body: bytes = field(repr=False)

    @property
    def verdict(self) -> Action:
        return max((finding.action for finding in self.findings), default=Action.ALLOW)

    @property
    def risk_score(self) -> int:
        return risk_score(self.findings)


def examine(message: Message, inspector: Inspector) -> Examined:
    """Inspect a message by the inspector of its direction. Raises CodingError and ScanTimeout."""
    request = RequestHead(message.method, message.url, headers=message.headers)
    is_request = message.direction == "request"
    head: MessageHead = request if is_request else ResponseHead(200, headers=message.headers)
    text = _decoded(message, inspector)
    inspection = examine_text(inspector, text, MediaType.parse(message.headers.get(b"content-type")))
    findings = [*examine_head(inspector, head, request).findings, *inspection.findings]
    findings += size_findings(inspector.rules.scan_size(len(text), text))
    return Examined(tuple(findings), inspection.text)


def _decoded(message: Message, inspector: Inspector) -> bytes:
    codings = parse_content_codings(message.headers.get(b"content-encoding"))
    if not codings:
        return message.body
    if not SUPPORTED.issuperset(codings):
        raise CodingError("unknown-coding", f"a content coding of {', '.join(codings)} can't be decoded")
    decoder = Decoder(codings, inspector.limits.buffered_coding)
    return decoder.feed(message.body) + decoder.finish()
