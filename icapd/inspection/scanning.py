"""The rules over a text in all its readings and over its single values."""

from collections.abc import Iterable, Iterator

from icapd.inspection.budget import Budget
from icapd.inspection.escapes import Escapes
from icapd.inspection.fields import Field
from icapd.inspection.findings import Hit
from icapd.inspection.views import Views
from icapd.policy import Match, RuleSet


def scan_views(rules: RuleSet, target: str, views: Views, budget: Budget) -> Iterator[Hit]:
    """What the rules find in each reading of a text.

    Packs whose redactions go in order mean the text as it stands: their rules see no other reading.
    """
    for reading, text in enumerate(views):
        for match in rules.scan(target, text, timeout=budget.left()):
            if reading == 0 or not match.rule.in_order:
                start, end = views.locate(reading, match.start, match.end)
                yield Hit(match.rule, match.rule.action, target, start, end, views.decoded(start, end))


def scan_fields(rules: RuleSet, fields: Iterable[Field], budget: Budget) -> Iterator[Hit]:
    """What the rules on single values find."""
    # Names repeat in every object of a list, and so do many values: each spelling is scanned once.
    scanned: dict[tuple[Escapes, bytes], list[Match]] = {}
    for field in fields:
        key = field.escapes, field.spelling
        matches = scanned.get(key)
        if matches is None:
            budget.check(rules.field_rules[0].id)
            matches = scanned[key] = rules.scan("field", field.value, timeout=budget.left())
        for match in matches:
            start, end = field.locate(match.start, match.end)
            secret = field.value[match.start : match.end]
            yield Hit(match.rule, match.rule.action, "field", start, end, secret)


def distinct(hits: Iterable[Hit]) -> list[Hit]:
    """Each span that a rule found once, in the order of the text."""
    by_place = {hit.place: hit for hit in hits}
    return sorted(by_place.values(), key=lambda hit: (hit.start, hit.end))
