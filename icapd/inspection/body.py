"""A body that is all there: everything is known before anything leaves."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from itertools import chain

from icapd.http.media_types import MediaType
from icapd.http.transcoding import Edit
from icapd.inspection import multipart, parts
from icapd.inspection.budget import Budget
from icapd.inspection.fields import fields_of
from icapd.inspection.findings import Hit
from icapd.inspection.formats import CUTTERS, WHOLE_ESCAPES, TextFormat, text_format
from icapd.inspection.multipart import Part, Segment
from icapd.inspection.parts import PartCutter
from icapd.inspection.redaction import PlainCutter
from icapd.inspection.scanned import Enclosed, Scanned, secrets_of
from icapd.inspection.scanning import layers_of, scan_fields, scan_views
from icapd.inspection.views import Views
from icapd.policy import REPLACEMENT, RuleSet

#: A multipart body in a part of another, and so on; deeper ones are read as text.
MAX_DEPTH = 3


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found in a text, and the text without what had to go: the same object when nothing had to."""

    hits: tuple[Hit, ...]
    text: bytes = field(repr=False)
    #: What makes it of the text that went in; empty where that is not known.
    edits: tuple[Edit, ...] = ()


def examine_body(text: bytes, media_type: MediaType, every: RuleSet, timeout: float) -> Examination:
    """Scan a text of that type, part by part where it has parts, and redact it. ScanTimeout as `examine`.

    `every`: the rules for any media type; parts have types of their own.
    """
    budget = Budget(timeout)
    rules = every.for_media_type(media_type.essence)
    scanned = _scan(text, media_type, every, budget, depth=0)
    in_order = [] if scanned.is_read_whole else _in_order_hits(text, rules, budget)
    return _finish(scanned, in_order, rules, budget)


def examine(text: bytes, kind: TextFormat, rules: RuleSet, timeout: float) -> Examination:
    """Scan a text in all its readings and fields, and redact it. ScanTimeout after `timeout` seconds."""
    budget = Budget(timeout)
    return _finish(_scan_text(text, kind, rules, budget), (), rules, budget)


def _finish(scanned: Scanned, more: Iterable[Hit], rules: RuleSet, budget: Budget) -> Examination:
    hits = [*scanned.hits, *more]
    if not hits:
        return Examination((), scanned.text)
    edits: list[Edit] = []
    redacted = scanned.redacted(secrets_of(hits), budget, edits)
    in_order = _redact_in_order(redacted, rules, budget)
    return Examination(tuple(hits), in_order, tuple(edits) if in_order is redacted else ())


def _redact_in_order(text: bytes, rules: RuleSet, budget: Budget) -> bytes:
    """The redactions of packs that go in order: each a substitution over the result of the one before."""
    redacted = text
    for rule in rules.in_order_rules:
        redacted = rules.substitute(rule, redacted, REPLACEMENT, timeout=budget.left())
    return text if redacted == text else redacted


def _in_order_hits(text: bytes, rules: RuleSet, budget: Budget) -> list[Hit]:
    """What packs whose redactions go in order find: they mean the body as it stands, whatever its parts."""
    if not any(rule.in_order for rule in rules.body_rules):
        return []
    return [hit for hit in scan_views(rules, "body", Views(text, ()), budget) if hit.rule.in_order]


def _scan(text: bytes, media_type: MediaType, every: RuleSet, budget: Budget, depth: int) -> Scanned:
    """A body or what a part holds; a multipart one at the bottom of a deep nest is read as text."""
    if media_type.format == "multipart" and depth < MAX_DEPTH:
        boundary = multipart.boundary_of(media_type, text)
        segments = multipart.split(text, boundary) if boundary else []
        if len(segments) > 1:
            return _scan_segments(text, segments, media_type, every, budget, depth + 1)
    rules = every.for_media_type(media_type.essence)
    return _scan_text(text, text_format(media_type, text), rules, budget)


def _scan_text(text: bytes, kind: TextFormat, rules: RuleSet, budget: Budget) -> Scanned:
    views = Views(text, WHOLE_ESCAPES[kind])
    found = (
        list(scan_fields(rules, fields_of(text, kind), budget))
        if rules.fields_may_match(layers_of(views))
        else []
    )
    found += scan_views(rules, "body", views, budget)
    return Scanned(text, views, CUTTERS[kind](), found)


def _scan_segments(
    text: bytes,
    segments: Iterable[Segment],
    media_type: MediaType,
    every: RuleSet,
    budget: Budget,
    depth: int,
) -> Scanned:
    """A multipart body. Its delimiter lines belong to no segment, so they can't change."""
    rules = every.for_media_type(media_type.essence)
    enclosed = []
    for start, end, is_part in segments:
        content = text[start:end]
        if is_part:
            scanned = _scan_part(Part.parse(content), media_type, every, budget, depth)
            encode: Callable[[bytes], bytes] = partial(multipart.with_length, content)
        else:
            scanned, encode = _scan_text(content, "text", rules, budget), bytes
        enclosed.append(Enclosed(start, end, scanned, encode, is_coded=False))
    return Scanned(text, Views(b"", ()), PlainCutter(), enclosed=enclosed, is_read_whole=False)


def _scan_part(part: Part, container: MediaType, every: RuleSet, budget: Budget, depth: int) -> Scanned:
    """A part, by the rules for its own media type; of what is no text, only its header fields.

    `every`: the rules for any media type.
    """
    coded = parts.decoded(part)
    content = part.content if coded is None else coded.text
    media_type = parts.type_to_read(part.media_type, content)
    is_whole, enclosed = False, []
    if media_type is not None and (coded is not None or media_type.format == "multipart"):
        inner = _scan(content, media_type, every, budget, depth)
        encode = bytes if coded is None else coded.encode
        enclosed.append(Enclosed(part.body, len(part.text), inner, encode, coded is not None))
    elif media_type is not None:
        is_whole = True
    rules = every.for_media_type(parts.essence_for_rules(part, media_type, container))
    kind = text_format(media_type, part.content) if media_type is not None and is_whole else "text"
    # What stands before the content belongs to it: a name says what a value is.
    views = Views(part.text if is_whole else part.text[: part.body], parts.escapes_of(part, kind))
    fields = parts.fields_of_head(part)
    if is_whole:
        fields = chain(fields, parts.fields_of_content(part, kind, container))
    found = parts.scan_file_names(part, rules, budget)
    if rules.fields_may_match((*layers_of(views), *layers_of(parts.views_of_names(part)))):
        found += scan_fields(rules, fields, budget)
    found += (hit for hit in scan_views(rules, "body", views, budget) if not hit.rule.in_order)
    return Scanned(part.text, views, PartCutter(part.body, kind), found, enclosed)
