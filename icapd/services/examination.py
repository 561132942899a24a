"""Rules over one message, whole: what both named services, the adaptation and `icapd scan` share."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from icapd.errors import CodingError
from icapd.http.adapted import with_changed_fields
from icapd.http.codings import Decoder
from icapd.http.headers import Headers
from icapd.http.heads import MessageHead, RequestHead
from icapd.http.media_types import MediaType, is_textual
from icapd.http.target import file_names_of
from icapd.inspection import Finding, Inspector
from icapd.policy import MAGIC_SIZE, Action, CompiledRule, RuleSet
from icapd.services.texts import inspect_text


@dataclass(frozen=True, slots=True)
class HeadExamination:
    """`head` is the virgin one itself when no rule changed it."""

    head: MessageHead
    findings: tuple[Finding, ...]


def examine_head(
    inspector: Inspector, head: MessageHead, request: RequestHead | None, *, patient: bool = True
) -> HeadExamination:
    """The rules on method, URL, header fields, content type and file name.

    `request`: the request that the message is, or is the response to. Without patience, OutOfPatience is
    raised where it takes long.
    """
    findings: list[Finding] = []
    content_type = head.headers.get(b"content-type")
    essence = MediaType.parse(content_type).essence
    if isinstance(head, RequestHead):
        findings += inspector.inspect_value("method", head.method, essence)
        url = inspector.inspect_url(head.target, patient=patient)
        findings += url.findings
        if url.url != head.target:
            head = head.with_target(url.url)
    fields = inspector.inspect_headers(head.headers, patient=patient)
    findings += fields.findings
    if fields.headers != head.headers:
        head = with_changed_fields(head, fields.headers)
    if content_type is not None:
        findings += inspector.inspect_value("content-type", content_type, essence)
    if inspector.rules.looks_at("name"):
        for name in file_names_of(head.headers.get(b"content-disposition"), request):
            findings += inspector.inspect_value("name", name, essence)
    return HeadExamination(head, tuple(findings))


def examine_magic(
    inspector: Inspector, head: MessageHead, codings: Sequence[str], sample: bytes
) -> list[Finding]:
    """The rules on the first bytes of a body, whatever its type; `sample`: what has come of it, coded.

    Nothing of a body that can't be decoded: that has an answer of its own. Raises ScanTimeout.
    """
    if not inspector.rules.looks_at("magic") or _begins_later(head):
        return []
    sample = sample[:MAGIC_SIZE]
    if codings:
        try:
            sample = Decoder(codings, inspector.limits.streamed_coding).feed(sample)[:MAGIC_SIZE]
        except CodingError:
            return []
    essence = MediaType.parse(head.headers.get(b"content-type")).essence
    return list(inspector.inspect_value("magic", sample, essence))


def _begins_later(head: MessageHead) -> bool:
    """Whether a body is not the beginning of anything (RFC 9110 section 14.4)."""
    content_range = head.headers.get(b"content-range")
    return content_range is not None and not content_range.lower().startswith(b"bytes 0-")


@dataclass(frozen=True, slots=True)
class MessageExamination:
    """What the rules make of a whole message. `text` is the very object that went in when it stands."""

    findings: tuple[Finding, ...]
    text: bytes = field(repr=False)

    @property
    def verdict(self) -> Action:
        """What the policy wants."""
        return max((finding.action for finding in self.findings), default=Action.ALLOW)

    @property
    def risk_score(self) -> int:
        return risk_score(self.findings)

    @property
    def may_pass(self) -> bool:
        """Whether no rule in force wants the message changed or stopped."""
        return not any(finding.enforced and finding.action >= Action.REDACT for finding in self.findings)

    def issues(self, rules: RuleSet) -> tuple[str, ...]:
        """One line for each rule that fired, in the order of the findings."""
        descriptions = {rule.id: rule.rule.description for rule in rules.rules}
        fired = dict.fromkeys(finding.rule_id for finding in self.findings)
        return tuple(f"{descriptions[rule_id]} ({rule_id})" for rule_id in fired)


def examine_message(
    inspector: Inspector, head: MessageHead, request: RequestHead | None, text: bytes, *, is_utf8: bool = True
) -> MessageExamination:
    """All rules on a message whose body, in no coding, is all there. Raises ScanTimeout.

    `is_utf8`: so is the text, whatever charset its type names; else CodingError `charset` is raised too.
    """
    media_type = MediaType.parse(head.headers.get(b"content-type"))
    sizes = inspector.rules.for_media_type(media_type.essence).scan_size(len(text), text)
    if not is_textual(media_type.essence):
        # The caller has a text there, whatever its type says.
        media_type = MediaType(charset=media_type.charset)
    inspection = (
        inspector.inspect_body(text, media_type) if is_utf8 else inspect_text(inspector, text, media_type)
    )
    findings = [*examine_head(inspector, head, request).findings, *examine_magic(inspector, head, (), text)]
    findings += [*inspection.findings, *size_findings(sizes)]
    return MessageExamination(tuple(findings), inspection.text)


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


def risk_score(findings: Iterable[Finding]) -> int:
    """The scores of the rules that fired, each rule once."""
    return sum({finding.rule_id: finding.score for finding in findings}.values())
