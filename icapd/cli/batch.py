"""Messages as lines of JSON, for `icapd scan --batch`."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from icapd.errors import CodingError, ScanTimeout
from icapd.inspection import Inspector
from icapd.services.examination import MessageExamination, encode, headers_from
from icapd.services.offline import Message, examine

_CLEAN, _FINDINGS, _UNUSABLE = 0, 1, 2


class BatchLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One message as it comes in. `body` is text, `body_base64` bytes; at most one of them."""

    id: str | int | None = None
    direction: Literal["request", "response"] = "response"
    method: str = "GET"
    url: str = ""
    headers: dict[str, str] = {}
    body: str | None = None
    body_base64: str | None = None


_decoder = msgspec.json.Decoder(BatchLine)


def examine_line(line: bytes, inspectors: Mapping[str, Inspector]) -> tuple[bytes, int]:
    """The answer to one line, without its line break, and the exit code that it asks for.

    A line that can't be used gets an answer too: {"id", "error"}, where the id could be read.
    """
    try:
        request = _decoder.decode(line)
        message = _message(request)
        examined = examine(message, inspectors[request.direction])
    except (msgspec.MsgspecError, RecursionError, ValueError, CodingError, ScanTimeout) as error:
        return msgspec.json.encode({"id": _id_of(line), "error": str(error)}), _UNUSABLE
    # What stands need not be decoded again.
    unchanged = request.body is not None and examined.text is message.body
    body = {"body": request.body} if unchanged else _body(request, examined.text)
    answer = {"id": request.id, **report(examined), **body}
    return msgspec.json.encode(answer), _FINDINGS if examined.findings else _CLEAN


def report(examined: MessageExamination) -> dict[str, Any]:
    """Verdict, score and findings, as every JSON output of `icapd scan` has them."""
    return {
        "verdict": examined.verdict.verdict,
        "risk_score": examined.risk_score,
        "findings": [
            {
                "rule_id": finding.rule_id,
                "severity": finding.severity,
                "action": finding.action.name.lower(),
                "target": finding.target,
                "excerpt": finding.excerpt,
            }
            for finding in examined.findings
        ],
    }


def content_of(line: BatchLine) -> bytes:
    """The body; ValueError when there are two, or base64 that is none."""
    if line.body is not None and line.body_base64 is not None:
        raise ValueError("give body or body_base64, not both")
    if line.body_base64 is not None:
        try:
            return base64.b64decode(line.body_base64, validate=True)
        except binascii.Error as error:
            raise ValueError(f"body_base64 is not base64: {error}") from None
    return encode(line.body or "")


def _message(line: BatchLine) -> Message:
    headers, body, is_utf8 = headers_from(line.headers), content_of(line), line.body_base64 is None
    return Message(line.direction, encode(line.method), encode(line.url), headers, body, is_utf8)


def _body(line: BatchLine, body: bytes) -> dict[str, str]:
    """The adapted body in the form that it came in; bytes that are no text come back as base64."""
    if line.body is None and line.body_base64 is None:
        return {}
    if line.body_base64 is None:
        try:
            return {"body": body.decode("utf-8")}
        except UnicodeDecodeError:
            # What was text may, decoded from its content coding, be bytes.
            pass
    return {"body_base64": base64.b64encode(body).decode("ascii")}


def _id_of(line: bytes) -> object:
    try:
        document = msgspec.json.decode(line)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    return document.get("id") if isinstance(document, dict) else None
