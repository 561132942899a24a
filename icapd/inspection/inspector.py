"""The inspection of one direction, as the floors above see it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from icapd.errors import ScanTimeout
from icapd.http.headers import Headers
from icapd.http.media_types import MediaType
from icapd.inspection.body import examine_body
from icapd.inspection.event_stream import EventStreamStage
from icapd.inspection.findings import Finding, FindingLog, Fingerprinter, Hit
from icapd.inspection.head_parts import HeadParts
from icapd.inspection.heads import examine_headers, examine_url, examine_value, masked
from icapd.inspection.limits import InspectionLimits
from icapd.inspection.stage import BodyStream
from icapd.inspection.window import WindowStage
from icapd.policy import REPLACEMENT, RuleSet

#: Masked texts that are remembered, and bytes of the longest of them: half a megabyte in all.
_REMEMBERED_TEXTS, _REMEMBERED_VALUES, _MAX_REMEMBERED = 2048, 256, 128


@dataclass(frozen=True, slots=True)
class BodyInspection:
    """`text` is adapted; the same object as went in when nothing had to change."""

    findings: tuple[Finding, ...]
    text: bytes = field(repr=False)
    #: Whether there are more findings than are kept.
    truncated_findings: bool = False


@dataclass(frozen=True, slots=True)
class UrlInspection:
    """`url` is adapted; the same object as went in when nothing had to change."""

    findings: tuple[Finding, ...]
    url: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class HeaderInspection:
    """`headers` are adapted; the same object as went in when nothing had to change."""

    findings: tuple[Finding, ...]
    headers: Headers


class Inspector:
    """Applies the rules of one direction to messages, part by part.

    ScanTimeout passes through: what becomes of a message that takes too long is for the caller to say.
    """

    def __init__(self, rules: RuleSet, fingerprinter: Fingerprinter, limits: InspectionLimits) -> None:
        self.rules = rules
        self.limits = limits
        self._fingerprinter = fingerprinter
        self._head_parts = HeadParts(rules, limits.scan_timeout)
        self._remembered_mask = lru_cache(maxsize=_REMEMBERED_TEXTS)(self._mask)
        # Methods and media types: a handful of them, again and again.
        self._remembered_value = lru_cache(maxsize=_REMEMBERED_VALUES)(self._inspect_value)

    def inspect_body(self, text: bytes, media_type: MediaType) -> BodyInspection:
        """A whole body in no coding."""
        examination = examine_body(text, media_type, self.rules, self.limits.scan_timeout)
        log = self._log(examination.hits)
        return BodyInspection(tuple(log.findings), examination.text, log.truncated)

    def inspect_url(self, url: bytes) -> UrlInspection:
        """A request target in any form (RFC 9112 section 3.2)."""
        examination = examine_url(url, self.rules, self.limits.scan_timeout, self._head_parts)
        return UrlInspection(tuple(self._log(examination.hits).findings), examination.url)

    def inspect_headers(self, headers: Headers) -> HeaderInspection:
        """All header fields of a message."""
        examination = examine_headers(headers, self.rules, self.limits.scan_timeout, self._head_parts)
        return HeaderInspection(tuple(self._log(examination.hits).findings), examination.headers)

    def inspect_value(self, target: str, value: bytes) -> tuple[Finding, ...]:
        """A single value that is never changed; `target`: method, content-type or name."""
        if len(value) <= _MAX_REMEMBERED and target != "name":
            return self._remembered_value(target, value)
        return self._inspect_value(target, value)

    def _inspect_value(self, target: str, value: bytes) -> tuple[Finding, ...]:
        hits = examine_value(target, value, self.rules, self.limits.scan_timeout)
        return tuple(self._log(hits).findings)

    def stream(self, media_type: MediaType, *, keeps_length: bool = False) -> BodyStream:
        """A stage for a body in no coding that flows; `keeps_length`: as many bytes leave as come.

        That is not for event streams, whose length nobody announces.
        """
        rules = self.rules.for_media_type(media_type.essence)
        if media_type.is_event_stream:
            return EventStreamStage(media_type, rules, self._log(), self.limits)
        return WindowStage(media_type, rules, self._log(), self.limits, keeps_length=keeps_length)

    def mask_text(self, text: bytes) -> bytes:
        """A text that is kept, such as a path in an audit row, without any secret that a rule finds in it."""
        # Hosts, methods and most paths come again and again.
        return self._remembered_mask(text) if len(text) <= _MAX_REMEMBERED else self._mask(text)

    def _mask(self, text: bytes) -> bytes:
        try:
            return masked(text, self.rules, self.limits.scan_timeout)
        except ScanTimeout:
            return REPLACEMENT

    def _log(self, hits: Iterable[Hit] = ()) -> FindingLog:
        log = FindingLog(self._fingerprinter, self.limits.max_findings)
        for hit in hits:
            log.add(hit)
        return log
