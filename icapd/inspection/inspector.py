"""The inspection of one direction, as the floors above see it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from icapd.errors import OutOfPatience, ScanTimeout
from icapd.http.codings import KiB, MiB
from icapd.http.headers import Headers
from icapd.http.media_types import MediaType
from icapd.http.transcoding import Edit
from icapd.inspection.body import examine_body
from icapd.inspection.event_stream import EventStreamStage
from icapd.inspection.findings import Finding, FindingLog, Fingerprinter, Hit
from icapd.inspection.head_parts import HeadParts
from icapd.inspection.heads import examine_headers, examine_url, examine_value, masked
from icapd.inspection.limits import InspectionLimits
from icapd.inspection.stage import BodyStream
from icapd.inspection.window import WindowStage
from icapd.policy import REPLACEMENT, RuleSet

#: Bytes of a body that a caller without patience may ask for: clean ones of this size take a millisecond.
MAX_IMPATIENT = 512 * KiB
# Seconds: a record waits for it, and for the record its reply.
_MASK_TIMEOUT = 0.05
#: Masked texts that are remembered, and bytes of the longest of them: a megabyte in all.
_REMEMBERED_TEXTS, _REMEMBERED_VALUES, _MAX_REMEMBERED = 2048, 256, 256


@dataclass(frozen=True, slots=True)
class BodyInspection:
    """`text` is adapted; the same object as went in when nothing had to change."""

    findings: tuple[Finding, ...]
    text: bytes = field(repr=False)
    #: Whether there are more findings than are kept.
    truncated_findings: bool = False
    #: What makes `text` of the one that went in; empty where that is not known.
    edits: tuple[Edit, ...] = ()


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

    ScanTimeout passes through: what becomes of a message that takes too long is for the caller to say. One
    who has others to serve asks with `patient` False, and gets OutOfPatience instead of a long wait.
    """

    def __init__(self, rules: RuleSet, fingerprinter: Fingerprinter, limits: InspectionLimits) -> None:
        self.rules = rules
        self.limits = limits
        self._fingerprinter = fingerprinter
        self._head_parts = HeadParts(rules)
        self._remembered_mask = lru_cache(maxsize=_REMEMBERED_TEXTS)(self._mask)
        # Methods and media types: a handful of them, again and again.
        self._remembered_value = lru_cache(maxsize=_REMEMBERED_VALUES)(self._inspect_value)

    def inspect_body(self, text: bytes, media_type: MediaType, *, patient: bool = True) -> BodyInspection:
        """A whole body in no coding."""
        if not patient and len(text) > MAX_IMPATIENT:
            raise OutOfPatience
        timeout = self._timeout(patient) * (1 + len(text) // MiB if patient else 1)
        try:
            examination = examine_body(text, media_type, self.rules, timeout, self._fingerprinter)
        except ScanTimeout as error:
            raise _spent(error, patient) from None
        log = self._log(examination.hits)
        return BodyInspection(tuple(log.findings), examination.text, log.truncated, examination.edits)

    def inspect_url(self, url: bytes, *, patient: bool = True) -> UrlInspection:
        """A request target in any form (RFC 9112 section 3.2)."""
        try:
            examination = examine_url(url, self._head_parts, self._timeout(patient), self._fingerprinter)
        except ScanTimeout as error:
            raise _spent(error, patient) from None
        return UrlInspection(tuple(self._log(examination.hits).findings), examination.url)

    def inspect_headers(self, headers: Headers, *, patient: bool = True) -> HeaderInspection:
        """All header fields of a message."""
        try:
            parts, timeout = self._head_parts, self._timeout(patient)
            examination = examine_headers(headers, parts, timeout, self._fingerprinter)
        except ScanTimeout as error:
            raise _spent(error, patient) from None
        return HeaderInspection(tuple(self._log(examination.hits).findings), examination.headers)

    def inspect_value(self, target: str, value: bytes, essence: str) -> tuple[Finding, ...]:
        """A single value that is never changed; `target`: method, content-type, name or magic.

        `essence`: the media type of the message, "" when it has none.
        """
        if len(value) <= _MAX_REMEMBERED and target not in {"name", "magic"}:
            return self._remembered_value(target, value, essence)
        return self._inspect_value(target, value, essence)

    def _inspect_value(self, target: str, value: bytes, essence: str) -> tuple[Finding, ...]:
        rules = self.rules.for_media_type(essence)
        hits = examine_value(target, value, rules, self.limits.scan_timeout)
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
            return masked(text, self.rules, min(self.limits.scan_timeout, _MASK_TIMEOUT))
        except ScanTimeout:
            return REPLACEMENT

    def _timeout(self, patient: bool) -> float:
        limits = self.limits
        return limits.scan_timeout if patient else min(limits.scan_timeout, limits.patience)

    def _log(self, hits: Iterable[Hit] = ()) -> FindingLog:
        log = FindingLog(self._fingerprinter, self.limits.max_findings)
        for hit in hits:
            log.add(hit)
        return log


def _spent(error: ScanTimeout, patient: bool) -> ScanTimeout | OutOfPatience:
    """What to raise when the time is over."""
    return error if patient else OutOfPatience()
