"""What stands before a body: the URL, the header fields, single values."""

import re
from dataclasses import dataclass, field, replace
from itertools import chain

from icapd.http.headers import Headers
from icapd.inspection.budget import Budget
from icapd.inspection.escapes import PERCENT
from icapd.inspection.fields import fields_of
from icapd.inspection.findings import Fingerprinter, Hit
from icapd.inspection.formats import WHOLE_ESCAPES
from icapd.inspection.head_parts import HeadParts
from icapd.inspection.masking import span_of
from icapd.inspection.redaction import FormCutter, PlainCutter, Span, redact
from icapd.inspection.scanning import distinct, layers_of, scan_fields, scan_views
from icapd.inspection.views import Views
from icapd.policy import Action, RuleSet

_HEADER_ESCAPES = (PERCENT,)
# RFC 9112 section 3.2: scheme and authority of the absolute form; of the authority form, everything.
_AUTHORITY = re.compile(rb"[A-Za-z][A-Za-z0-9+.\-]*://[^/?#]*|[^/*?#][^/?#]*\Z|")


@dataclass(frozen=True, slots=True)
class UrlExamination:
    hits: tuple[Hit, ...]
    url: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class HeaderExamination:
    """`headers`: the same object when nothing had to go."""

    hits: tuple[Hit, ...]
    headers: Headers


def examine_url(url: bytes, parts: HeadParts, timeout: float, fingerprinter: Fingerprinter) -> UrlExamination:
    """Scan a request target, its query also value by value, and redact it behind the authority.

    Where to connect can't be redacted: a match that touches scheme or authority blocks instead.
    """
    rules, budget = parts.rules, Budget(timeout)
    found: list[Hit] = []
    query = url.partition(b"?")[2]
    if query and rules.fields_may_match(layers_of(Views(query, WHOLE_ESCAPES["form"]))):
        found += scan_fields(rules, fields_of(url, "url"), budget)
    found += scan_views(rules, "url", Views(url, WHOLE_ESCAPES["url"]), budget)
    found += parts.in_address(url, budget)
    authority = _AUTHORITY.match(url)
    assert authority is not None, "the pattern matches anywhere"
    hits = [_not_in_authority(hit, authority.end()) for hit in distinct(found)]
    spans = [span_of(hit, fingerprinter) for hit in hits if hit.redacts]
    return UrlExamination(tuple(hits), redact(url, spans, FormCutter()))


def _not_in_authority(hit: Hit, end: int) -> Hit:
    if hit.action is Action.REDACT and hit.start < end:
        return replace(hit, action=Action.BLOCK)
    return hit


def examine_headers(
    headers: Headers, parts: HeadParts, timeout: float, fingerprinter: Fingerprinter
) -> HeaderExamination:
    """Scan every field value and its parts, and redact it."""
    rules, budget = parts.rules, Budget(timeout)
    found = [list(parts.in_header(name, value, budget)) for name, value in headers]
    values = [value for _, value in headers]
    values += [_readings(value).innermost for value in values if b"%" in value]
    any_may_match = rules.any_header_may_match(values)
    for number, (name, value) in enumerate(headers):
        if any_may_match or rules.looks_at_header(name):
            found[number] += _scan_header(name, value, rules, budget)
    hits = tuple(chain.from_iterable(found))
    if not any(hit.redacts for hit in hits):
        return HeaderExamination(hits, headers)
    items = (
        (name, redact(value, [span_of(hit, fingerprinter) for hit in own if hit.redacts], PlainCutter()))
        for (name, value), own in zip(headers, found, strict=True)
    )
    return HeaderExamination(hits, Headers(tuple(items)))


def _scan_header(name: bytes, value: bytes, rules: RuleSet, budget: Budget) -> list[Hit]:
    views, target = _readings(value), f"header:{name.decode('latin-1')}"
    hits = []
    for reading, text in enumerate(views):
        for match in rules.scan_header(name, text, timeout=budget.left()):
            # A rule that matches nothing at all finds the header's presence, once.
            if match.start < match.end:
                start, end = views.locate(reading, match.start, match.end)
                hits.append(Hit(match.rule, match.rule.action, target, start, end, views.decoded(start, end)))
            elif reading == 0:
                hits.append(Hit(match.rule, match.rule.action, target, match.start, match.end, b""))
    return distinct(hits)


def _readings(value: bytes) -> Views:
    """A field value as it stands and percent-decoded."""
    return Views(value, _HEADER_ESCAPES)


def examine_value(target: str, value: bytes, rules: RuleSet, timeout: float) -> tuple[Hit, ...]:
    """Scan a value that is never changed: method, content type, file name."""
    return tuple(scan_views(rules, target, Views(value, ()), Budget(timeout)))


def masked(text: bytes, rules: RuleSet, timeout: float) -> bytes:
    """The text without anything that a rule on bodies, URLs or headers finds in it, in any mode.

    For texts that are kept. Raises ScanTimeout.
    """
    budget = Budget(timeout)
    views = Views(text, WHOLE_ESCAPES["url"])
    hits = [*scan_views(rules, "url", views, budget), *scan_views(rules, "body", views, budget)]
    hits += _scan_header(b"", text, rules, budget)
    return redact(text, [Span(hit.start, hit.end) for hit in hits], PlainCutter())
