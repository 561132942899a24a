"""Rules over one message, whole: what both named services, the adaptation and `icapd scan` share."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from icapd.http.headers import Headers
from icapd.http.heads import MessageHead, RequestHead
from icapd.http.media_types import MediaType, is_textual
from icapd.http.target import file_name_of
from icapd.inspection import BodyInspection, Finding, Inspector
from icapd.policy import Action, CompiledRule


@dataclass(frozen=True, slots=True)
class HeadExamination:
    """`head` is the virgin one itself when no rule changed it."""

    head: MessageHead
    findings: tuple[Finding, ...]


def examine_head(inspector: Inspector, head: MessageHead, request: RequestHead | None) -> HeadExamination:
    """The rules on method, URL, header fields, content type and file name.

    `request`: the request that the message is, or is the response to.
    """
    findings: list[Finding] = []
    if isinstance(head, RequestHead):
        findings += inspector.inspect_value("method", head.method)
        url = inspector.inspect_url(head.target)
        findings += url.findings
        if url.url != head.target:
            head = head.with_target(url.url)
    fields = inspector.inspect_headers(head.headers)
    findings += fields.findings
    if fields.headers != head.headers:
        head = head.with_headers(fields.headers)
    content_type = head.headers.get(b"content-type")
    if content_type is not None:
        findings += inspector.inspect_value("content-type", content_type)
    name = file_name_of(head.headers.get(b"content-disposition"), request)
    if name:
        findings += inspector.inspect_value("name", name)
    return HeadExamination(head, tuple(findings))


def examine_text(inspector: Inspector, text: bytes, media_type: MediaType) -> BodyInspection:
    """The rules on a decoded body that is all there."""
    # The caller knows that it is text, whatever its type says.
    if not is_textual(media_type.essence):
        media_type = MediaType()
    return inspector.inspect_body(text, media_type)


def size_findings(rules: Iterable[CompiledRule]) -> list[Finding]:
    """Findings of rules on the size of a body, which match no bytes and show none."""
    return [
        Finding(
            rule_id=rule.id,
            severity=rule.severity,
            action=rule.action,
            enforced=rule.enforced,
            target="size",
            start=0,
            end=0,
            excerpt="",
            fingerprint="",
            score=rule.score,
        )
        for rule in rules
    ]


def headers_from(mapping: Mapping[str, str]) -> Headers:
    """Header fields of a Python caller, names and values as they are."""
    return Headers(tuple((encode(name), encode(value)) for name, value in mapping.items()))


def encode(text: str) -> bytes:
    """UTF-8; a lone surrogate, which Python's str may hold, keeps its place and comes back by `decode`."""
    return text.encode("utf-8", "surrogatepass")


def decode(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")


def issues_of(findings: Iterable[Finding], policy_rules: Iterable[CompiledRule]) -> tuple[str, ...]:
    """One line for each rule that fired, in the order of the findings."""
    descriptions = {rule.id: rule.rule.description for rule in policy_rules}
    fired = dict.fromkeys(finding.rule_id for finding in findings)
    return tuple(f"{descriptions[rule_id]} ({rule_id})" for rule_id in fired)


def may_pass(findings: Iterable[Finding]) -> bool:
    """Whether no rule in force wants the message changed or stopped."""
    return not any(finding.enforced and finding.action >= Action.REDACT for finding in findings)


def risk_score(findings: Iterable[Finding]) -> int:
    """The scores of the rules that fired, each rule once."""
    return sum({finding.rule_id: finding.score for finding in findings}.values())
