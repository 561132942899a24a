"""The rules over a text in all its readings and over its single values."""

from collections.abc import Iterable, Iterator

from icapd.inspection.budget import Budget
from icapd.inspection.escapes import ANY, Escapes
from icapd.inspection.fields import Field
from icapd.inspection.findings import Hit
from icapd.inspection.formats import LAYERS
from icapd.inspection.views import Views
from icapd.policy import Match, RuleSet

# Bytes. Values that are so long on average are not looked through together first, which would take as long
# again.
_LONG = 1024


def scan_views(rules: RuleSet, target: str, views: Views, budget: Budget) -> Iterator[Hit]:
    """What the rules find in each reading of a text.

    Packs whose redactions go in order mean the text as it stands: their rules see no other reading.
    """
    for reading, text in enumerate(views):
        for match in rules.scan(target, text, timeout=budget.left()):
            if reading == 0 or not match.rule.in_order:
                budget.check(match.rule.id)
                start, end = views.locate(reading, match.start, match.end)
                yield Hit(match.rule, match.rule.action, target, start, end, views.decoded(start, end))


def layers_of(views: Views) -> Iterator[bytes]:
    """The readings of a text, then those with all layers of escapes off, as its single values are scanned."""
    kept = list(views)
    yield from kept
    # Where the format has spelled anything, values are at least once decoded. What can be folded is folded.
    for text in kept[1:] or kept:
        if ANY.occur_in(text):
            layers = Views(text, LAYERS)
            if layers.innermost_reading:
                yield layers.innermost


def _has_layers(value: bytes) -> bool:
    return ANY.occur_in(value) or not value.isascii()


def values_may_match(rules: RuleSet, values: Iterable[bytes], budget: Budget) -> bool:
    """Whether rules on single values match any of these. Faster than to ask for where they stand."""
    every = list(values)
    # Most texts have none, and are seen to have none together.
    for value in tuple(every) if _has_layers(b"\n".join(every)) else ():
        if _has_layers(value):
            views = Views(value, LAYERS)
            if views.innermost_reading:
                every.append(views.innermost)
    if sum(map(len, every)) < _LONG * len(every) and not rules.values_may_match(every):
        return False
    return any(rules.scan("field", value, timeout=budget.left()) for value in every)


def scan_fields(rules: RuleSet, fields: Iterable[Field], budget: Budget) -> Iterator[Hit]:
    """What the rules on single values find, as their reader gets them and with all layers of escapes off."""
    # Names repeat in every object of a list, and so do many values: each spelling is scanned once.
    scanned: dict[tuple[Escapes, bytes], list[Match]] = {}
    for field in fields:
        key = field.escapes, field.spelling
        matches = scanned.get(key)
        if matches is None:
            budget.check(rules.field_rules[0].id)
            matches = scanned[key] = scan_value(rules, "field", field.value, budget)
        for match in matches:
            start, end = field.locate(match.start, match.end)
            secret = field.value[match.start : match.end]
            yield Hit(match.rule, match.rule.action, "field", start, end, secret)


def scan_value(rules: RuleSet, target: str, value: bytes, budget: Budget) -> list[Match]:
    """The matches in a single value, in its own offsets."""
    matches = rules.scan(target, value, timeout=budget.left())
    if _has_layers(value):
        views = Views(value, LAYERS)
        reading = views.innermost_reading
        if reading:
            for match in rules.scan(target, views.innermost, timeout=budget.left()):
                start, end = views.locate(reading, match.start, match.end)
                matches.append(match._replace(start=start, end=end))
    return matches


def distinct(hits: Iterable[Hit]) -> list[Hit]:
    """Each span that a rule found once, in the order of the text."""
    by_place = {hit.place: hit for hit in hits}
    return sorted(by_place.values(), key=lambda hit: (hit.start, hit.end))
