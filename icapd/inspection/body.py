"""A body that is all there: everything is known before anything leaves."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from urllib.parse import quote

from icapd.http.media_types import MediaType
from icapd.http.transcoding import Edit
from icapd.inspection import multipart, parts
from icapd.inspection.base64_text import Run, runs_in
from icapd.inspection.budget import Budget
from icapd.inspection.escapes import NONE
from icapd.inspection.fields import Field, fields_of, json_values, single_value
from icapd.inspection.findings import Fingerprinter, Hit
from icapd.inspection.formats import CUTTERS, WHOLE_ESCAPES, TextFormat, text_format
from icapd.inspection.multipart import Part, Segment
from icapd.inspection.parts import PartCutter
from icapd.inspection.redaction import PlainCutter
from icapd.inspection.scanned import Enclosed, Scanned, secrets_of
from icapd.inspection.scanning import layers_of, scan_fields, scan_views, values_may_match
from icapd.inspection.views import Views
from icapd.policy import REPLACEMENT, RuleSet

#: A multipart body in a part of another, base64 in base64, and so on; what lies deeper is read as it stands.
MAX_DEPTH = 3


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found in a text, and the text without what had to go: the same object when nothing had to."""

    hits: tuple[Hit, ...]
    text: bytes = field(repr=False)
    #: What makes it of the text that went in; empty where that is not known.
    edits: tuple[Edit, ...] = ()


def examine_body(
    text: bytes, media_type: MediaType, every: RuleSet, timeout: float, fingerprinter: Fingerprinter
) -> Examination:
    """Scan a text of that type, part by part where it has parts, and redact it. ScanTimeout as `examine`.

    `every`: the rules for any media type; parts have types of their own.
    """
    budget = Budget(timeout)
    rules = every.for_media_type(media_type.essence)
    scanned = _scan(text, media_type, every, budget, depth=0)
    in_order = [] if scanned.is_read_whole else _in_order_hits(text, rules, budget)
    return _finish(scanned, in_order, rules, budget, fingerprinter)


def examine(
    text: bytes, kind: TextFormat, rules: RuleSet, timeout: float, fingerprinter: Fingerprinter
) -> Examination:
    """Scan a text in all its readings and fields, and redact it. ScanTimeout after `timeout` seconds."""
    budget = Budget(timeout)
    scanned = _scan_text(text, kind, fields_of(text, kind), rules, budget)
    return _finish(scanned, (), rules, budget, fingerprinter)


def _finish(
    scanned: Scanned, more: Iterable[Hit], rules: RuleSet, budget: Budget, fingerprinter: Fingerprinter
) -> Examination:
    hits = [*scanned.hits, *more]
    if not hits:
        return Examination((), scanned.text)
    edits: list[Edit] = []
    redacted = scanned.redacted(secrets_of(hits), fingerprinter, budget, edits)
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
    kind = text_format(media_type, text)
    fields = fields_of(text, kind)
    if depth == 0:
        fields = chain(fields, single_value(text, kind))
    return _scan_text(text, kind, fields, rules, budget)


def _scan_text(
    text: bytes, kind: TextFormat, fields: Iterable[Field], rules: RuleSet, budget: Budget
) -> Scanned:
    views = Views(text, WHOLE_ESCAPES[kind])
    found: list[Hit] = []
    if _fields_may_match(text, kind, views, rules, budget):
        found += scan_fields(rules, fields, budget)
    found += scan_views(rules, "body", views, budget)
    return Scanned(text, views, CUTTERS[kind](), found, _scan_runs(views, kind, rules, budget))


def _fields_may_match(text: bytes, kind: TextFormat, views: Views, rules: RuleSet, budget: Budget) -> bool:
    if not rules.field_rules:
        return False
    if kind == "json":
        values = json_values(text).union(field.value for field in single_value(text, kind))
        return values_may_match(rules, values, budget)
    return rules.fields_may_match(layers_of(views))


def _scan_runs(
    views: Views, kind: TextFormat, rules: RuleSet, budget: Budget, depth: int = 1
) -> list[Enclosed]:
    """The texts that stand in a text in base64."""
    runs = list(runs_in(views.innermost))
    if not runs:
        return []
    # Most are clean, and seen to be so together.
    together = Views(b"\n".join(run.text for run in runs), WHOLE_ESCAPES["json"])
    in_fields = bool(rules.field_rules) and rules.fields_may_match(layers_of(together))
    in_texts = any(scan_views(rules, "body", together, budget))
    goes_deeper = depth < MAX_DEPTH and any(runs_in(together.innermost))
    enclosed = []
    for run in runs:
        inner_kind = text_format(MediaType(), run.text)
        inner = Views(run.text, WHOLE_ESCAPES[inner_kind])
        found: list[Hit] = []
        if in_fields:
            # Who decodes it has a value, whatever stands in it.
            fields = chain((Field(run.text, 0, NONE),), fields_of(run.text, inner_kind))
            found += scan_fields(rules, fields, budget)
        if in_texts:
            found += (hit for hit in scan_views(rules, "body", inner, budget) if not hit.rule.in_order)
        deeper = _scan_runs(inner, inner_kind, rules, budget, depth + 1) if goes_deeper else []
        start, end = views.locate(views.innermost_reading, run.start, run.end)
        scanned = Scanned(run.text, inner, CUTTERS[inner_kind](), found, deeper)
        encode = partial(_percent_encoded, run) if kind in {"form", "url"} else run.encode
        enclosed.append(Enclosed(start, end, scanned, encode, is_coded=True))
    return enclosed


def _percent_encoded(run: Run, text: bytes) -> bytes:
    return quote(run.encode(text), safe="-_").encode()


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
            part = Part.parse(content)
            scanned = _scan_part(part, media_type, every, budget, depth)
            name = parts.name_to_show(part, scanned.own)
            encode = partial(multipart.with_length, content)
            enclosed.append(Enclosed(start, end, scanned, encode, is_coded=False, file_name=name))
        else:
            scanned = _scan_text(content, "text", (), rules, budget)
            enclosed.append(Enclosed(start, end, scanned, bytes, is_coded=False))
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
    found += parts.scan_start(part, content, every, budget)
    if rules.field_rules and rules.fields_may_match(
        chain(layers_of(views), layers_of(parts.views_of_names(part)))
    ):
        found += scan_fields(rules, fields, budget)
    found += (hit for hit in scan_views(rules, "body", views, budget) if not hit.rule.in_order)
    if is_whole:
        enclosed += _scan_runs(views, kind, rules, budget)
    return Scanned(part.text, views, PartCutter(part.body, kind), found, enclosed)
