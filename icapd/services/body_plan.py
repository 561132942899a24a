"""How a body will be read, decided once from its head and its first bytes."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

from icapd.http.charsets import SAMPLE, charset_of, is_text
from icapd.http.codings import SUPPORTED, parse_content_codings
from icapd.http.headers import Headers
from icapd.http.heads import MessageHead
from icapd.http.media_types import MediaType, is_textual
from icapd.policy import BY_POLICY, CompiledRule, RuleSet

# The longest byte order mark.
_MARK = 4


class PlanKind(Enum):
    SKIP = auto()
    """Not read: no rule applies, or nothing can be made of it (`reason`)."""
    BUFFER = auto()
    """Held back until its end: the verdict comes first."""
    STREAM = auto()
    """Read as it flows, with a bounded part held back."""


@dataclass(frozen=True, slots=True)
class BodyPlan:
    """What plan_body decided."""

    kind: PlanKind
    #: The type by which the body is read; without an essence where only the bytes told that it is text.
    media_type: MediaType
    codings: tuple[str, ...] = ()
    #: Why a body is not read: "media-type", "no-rules", "policy", or what stood in the way.
    reason: str = ""

    @property
    def is_blind(self) -> bool:
        """Whether rules would have applied, but the body can't be read."""
        return self.kind is PlanKind.SKIP and self.reason not in {"media-type", "no-rules", BY_POLICY}


def content_codings(headers: Headers) -> tuple[str, ...]:
    """Content-Encoding, however many lines it stands on (RFC 9110 section 5.3)."""
    values = headers.get_all(b"content-encoding")
    return parse_content_codings(b", ".join(values)) if values else ()


class Announced(NamedTuple):
    """What a head says of its body."""

    media_type: MediaType
    codings: tuple[str, ...]
    #: Content-Length where it is one number; None otherwise.
    length: int | None
    #: Bytes by which a body shows what it is.
    telling: int = SAMPLE

    @classmethod
    def by(cls, head: MessageHead, rules: RuleSet) -> "Announced":
        headers = head.headers
        length = headers.get(b"content-length")
        media_type, codings = MediaType.parse(headers.get(b"content-type")), content_codings(headers)
        # An event stream does not wait: its first bytes may be all that comes for hours. A text of another
        # type may name its charset, and rules on `magic` read any type.
        shows_more = is_textual(media_type.essence) or rules.looks_at("magic")
        reads_beginning = shows_more and not media_type.is_event_stream
        return cls(
            media_type,
            codings,
            int(length) if length is not None and length.isdigit() and len(length) < 20 else None,
            SAMPLE if reads_beginning or media_type.is_opaque or codings else _MARK,
        )

    def rules_of(self, rules: RuleSet) -> RuleSet:
        """Those among the rules that are for this type."""
        return rules.for_media_type(self.media_type.essence)

    def is_settled_by(self, received: int) -> bool:
        """Whether so many bytes of a body show all that is looked for in them: more would change nothing."""
        return received >= self.telling

    def too_large_for(self, rules: RuleSet) -> list[CompiledRule]:
        """The rules on size that the announced length breaks."""
        if self.length is None:
            return []
        return self.rules_of(rules).scan_size(self.length, None)


def plan_body(
    announced: Announced, sample: bytes, rules: RuleSet, max_buffered: int, *, skips: bool = False
) -> BodyPlan:
    """The plan for a body; `sample`: what has arrived of it, as it travels (coded); `skips`: by policy.

    Types that say nothing (none, application/octet-stream) are judged by the sample, no further than SAMPLE.
    """
    media_type, codings, length = announced.media_type, announced.codings, announced.length
    if skips:
        return BodyPlan(PlanKind.SKIP, media_type, reason=BY_POLICY)
    sample = sample[:SAMPLE]
    if media_type.is_opaque:
        if not codings and not is_text(sample):
            return BodyPlan(PlanKind.SKIP, media_type, reason="media-type")
        media_type = MediaType(charset=media_type.charset)
    applicable = rules.for_media_type(media_type.essence)
    if not applicable.body_rules and not applicable.field_rules:
        reason = "no-rules" if is_textual(media_type.essence) else "media-type"
        return BodyPlan(PlanKind.SKIP, media_type, reason=reason)
    if codings and not SUPPORTED.issuperset(codings):
        return BodyPlan(PlanKind.SKIP, media_type, codings, "unknown-coding")
    if media_type.is_event_stream and not codings and charset_of(media_type, sample):
        return BodyPlan(PlanKind.SKIP, media_type, codings, "charset")
    if media_type.is_event_stream or (length is not None and length > max_buffered):
        return BodyPlan(PlanKind.STREAM, media_type, codings)
    return BodyPlan(PlanKind.BUFFER, media_type, codings)
