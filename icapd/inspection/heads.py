"""What stands before a body: the URL, the header fields, single values."""

import re
from dataclasses import dataclass, field, replace
from itertools import chain

from icapd.http.headers import Headers
from icapd.inspection.budget import Budget
from icapd.inspection.fields import fields_of
from icapd.inspection.findings import Hit
from icapd.inspection.formats import WHOLE_ESCAPES
from icapd.inspection.redaction import FormCutter, PlainCutter, redact
from icapd.inspection.scanning import distinct, layers_of, scan_fields, scan_views
from icapd.inspection.views import Views
from icapd.policy import Action, RuleSet

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


def examine_url(url: bytes, rules: RuleSet, timeout: float) -> UrlExamination:
    """Scan a request target, its query also value by value, and redact it behind the authority.

    Where to connect can't be redacted: a match that touches scheme or authority blocks instead.
    """
    budget = Budget(timeout)
    found: list[Hit] = []
    if rules.fields_may_match(layers_of(Views(url, WHOLE_ESCAPES["form"]))):
        found += scan_fields(rules, fields_of(url, "url"), budget)
    found += scan_views(rules, "url", Views(url, WHOLE_ESCAPES["url"]), budget)
    authority = _AUTHORITY.match(url)
    assert authority is not None, "the pattern matches anywhere"
    hits = [_not_in_authority(hit, authority.end()) for hit in distinct(found)]
    spans = [(hit.start, hit.end) for hit in hits if hit.redacts]
    return UrlExamination(tuple(hits), redact(url, spans, FormCutter()))


def _not_in_authority(hit: Hit, end: int) -> Hit:
    if hit.action is Action.REDACT and hit.start < end:
        return replace(hit, action=Action.BLOCK)
    return hit


def examine_headers(headers: Headers, rules: RuleSet, timeout: float) -> HeaderExamination:
    """Scan every field value, and redact it."""
    if not rules.headers_may_match(value for _, value in headers):
        return HeaderExamination((), headers)
    budget = Budget(timeout)
    found = [_scan_header(name, value, rules, budget) for name, value in headers]
    hits = tuple(chain.from_iterable(found))
    if not any(hit.redacts for hit in hits):
        return HeaderExamination(hits, headers)
    items = (
        (name, redact(value, [(hit.start, hit.end) for hit in own if hit.redacts], PlainCutter()))
        for (name, value), own in zip(headers, found, strict=True)
    )
    return HeaderExamination(hits, Headers(tuple(items)))


def _scan_header(name: bytes, value: bytes, rules: RuleSet, budget: Budget) -> list[Hit]:
    return [
        Hit(
            match.rule,
            match.rule.action,
            f"header:{name.decode('latin-1')}",
            match.start,
            match.end,
            value[match.start : match.end],
        )
        for match in rules.scan_header(name, value, timeout=budget.left())
    ]


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
    return redact(text, [(hit.start, hit.end) for hit in hits], PlainCutter())
