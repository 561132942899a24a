"""A body that is all there: everything is known before anything leaves."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from icapd.inspection.budget import Budget
from icapd.inspection.fields import fields_of
from icapd.inspection.findings import Fingerprinter, Hit
from icapd.inspection.formats import CUTTERS, ESCAPES, TextFormat
from icapd.inspection.masking import mask_for, span_of
from icapd.inspection.occurrences import MIN_REPEATED_SECRET, occurrences
from icapd.inspection.redaction import Span, redact
from icapd.inspection.scanning import distinct, scan_fields, scan_views
from icapd.inspection.views import Views
from icapd.policy import REPLACEMENT, RuleSet


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found in a text, and the text without what had to go: the same object when nothing had to."""

    hits: tuple[Hit, ...]
    text: bytes = field(repr=False)


def examine(
    text: bytes, kind: TextFormat, rules: RuleSet, timeout: float, fingerprinter: Fingerprinter
) -> Examination:
    """Scan a text in all its readings and fields, and redact it. ScanTimeout after `timeout` seconds."""
    budget = Budget(timeout)
    views = Views(text, ESCAPES[kind])
    found = list(scan_fields(rules, fields_of(text, kind), budget)) if rules.fields_may_match(views) else []
    found += scan_views(rules, "body", views, budget)
    if not found:
        return Examination((), text)
    hits = distinct(found)
    merged = [hit for hit in hits if hit.redacts and not (hit.rule.in_order and hit.target == "body")]
    spans = [span_of(hit, fingerprinter) for hit in merged]
    spans += _repeated(merged, views, budget, fingerprinter)
    redacted = redact(text, spans, CUTTERS[kind](), budget)
    return Examination(tuple(hits), _redact_in_order(redacted, rules, budget))


def _repeated(
    hits: Iterable[Hit], views: Views, budget: Budget, fingerprinter: Fingerprinter
) -> Iterator[Span]:
    """Where else, in any reading, the secrets stand: a rule may know one by its surroundings only."""
    by_secret = {hit.secret: hit for hit in hits if len(hit.secret) >= MIN_REPEATED_SECRET}
    secrets = {secret: hit.rule.id for secret, hit in by_secret.items()}
    masks = {secret: mask_for(hit, fingerprinter) for secret, hit in by_secret.items()}
    for reading, text in enumerate(views):
        for start, end in occurrences(secrets, text, budget):
            yield Span(*views.locate(reading, start, end), masks[text[start:end]])


def _redact_in_order(text: bytes, rules: RuleSet, budget: Budget) -> bytes:
    """The redactions of packs that go in order: each a substitution over the result of the one before."""
    redacted = text
    for rule in rules.in_order_rules:
        redacted = rules.substitute(rule, redacted, REPLACEMENT, timeout=budget.left())
    return text if redacted == text else redacted
