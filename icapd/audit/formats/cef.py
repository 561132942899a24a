"""Records as lines of ArcSight's Common Event Format: one for each finding, or one of a record without any.

Nothing that someone else wrote can end a field, a value or a line: in the header `|` and `\\` are escaped, in
values `=`, `\\` and line ends; what else is not printed stands there as its escape.
"""

import ipaddress
from collections.abc import Iterator

from icapd import __version__
from icapd.audit.formats.outcome import outcome, url
from icapd.audit.formats.text import printable
from icapd.audit.record import FindingRecord
from icapd.audit.stored import StoredEvent

#: Of CEF, from 0 to 10.
_SEVERITIES = {"info": 1, "low": 3, "medium": 5, "high": 8, "critical": 10}
_LINE_ENDS = {"\n": "\\n", "\r": "\\r"}


def lines(event: StoredEvent) -> Iterator[str]:
    """What is written of one record."""
    for finding in event.record.findings or (None,):
        yield line(event, finding)


def line(event: StoredEvent, finding: FindingRecord | None) -> str:
    """One finding, or the record itself."""
    about: tuple[str, str, str] = (event.record.verdict, f"HTTP message {event.record.verdict}", "0")
    if finding is not None:
        severity = _SEVERITIES.get(finding.severity, 0)
        about = (finding.rule_id, f"{finding.rule_id} in {finding.target}", str(severity))
    head = ("CEF:0", "icapd", "icapd", __version__, *about)
    values = " ".join(
        f"{key}={_value(str(value))}" for key, value in _extension(event, finding) if value not in (None, "")
    )
    return "|".join(map(_header, head)) + "|" + values


def _extension(event: StoredEvent, finding: FindingRecord | None) -> Iterator[tuple[str, object]]:
    record = event.record
    yield "rt", record.occurred_at // 1000
    yield "externalId", record.event_id
    yield from _address(record.client_ip)
    yield "suser", record.client_user
    yield "dhost", record.host
    yield "dpt", record.port
    yield "app", record.scheme
    yield "requestMethod", record.http_method
    yield "request", url(record)
    yield "act", record.disposition
    yield "outcome", outcome(record)
    yield "reason", record.skip_reason
    yield "in", record.response_bytes
    yield "out", record.request_bytes
    yield "cnt", record.repeats
    yield "dvchost", event.node
    yield from _labelled("cn1", "writer_seq", event.writer_seq)
    yield from _labelled("cn2", "risk_score", record.risk_score)
    if finding is not None:
        yield from _labelled("cs1", "excerpt", finding.excerpt)
        yield from _labelled("cs2", "fingerprint", finding.fingerprint)
    yield from _labelled("cs3", "txn_id", record.txn_id)
    yield from _labelled("cs4", "writer_id", event.writer_id)
    yield from _labelled("cs5", "chain", event.chain.hex() if event.chain else None)
    yield from _labelled("cs6", "policy_digest", record.policy_digest)


def _labelled(key: str, label: str, value: object) -> Iterator[tuple[str, object]]:
    if value not in (None, ""):
        yield f"{key}Label", label
        yield key, value


def _address(text: str | None) -> Iterator[tuple[str, object]]:
    """`src` takes IPv4 only."""
    try:
        version: int = ipaddress.ip_address(text or "").version
    except ValueError:
        version = 0
    if version == 6:
        yield from _labelled("c6a2", "Source IPv6 Address", text)
    else:
        yield "src" if version == 4 else "shost", text


def _header(text: str) -> str:
    return printable(text).replace("\\", "\\\\").replace("|", "\\|")


def _value(text: str) -> str:
    if text.isprintable():
        return text.replace("\\", "\\\\").replace("=", "\\=")
    return "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    if character in "\\=":
        return "\\" + character
    if character in _LINE_ENDS:
        return _LINE_ENDS[character]
    return printable(character).replace("\\", "\\\\") if not character.isprintable() else character
