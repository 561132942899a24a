"""All rules of one direction, and the one seam through which everything is matched."""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from operator import attrgetter
from time import monotonic

from icapd.policy.databases import Databases
from icapd.policy.matching import CompiledRule, Match
from icapd.policy.prefilter import Prefilter, make_prefilter
from icapd.policy.rule import Action
from icapd.policy.text import Text

#: Seconds that one call may take: some three hundred times what a clean body of 100 KB needs.
SCAN_TIMEOUT = 1.0
#: Media types remembered with their rules. A site sees some dozens; a peer may invent any number.
_REMEMBERED_MEDIA_TYPES = 256

#: Targets, each with its rules.
Selection = tuple[tuple[str, tuple[CompiledRule, ...]], ...]

_POSITION = attrgetter("start", "end")


class RuleSet:
    """The rules of one direction, arranged by what they look at. Never changes once made."""

    def __init__(
        self,
        rules: Iterable[CompiledRule],
        databases: Databases | None = None,
        narrowed: "tuple[RuleSet, Selection] | None" = None,
    ) -> None:
        """`databases` makes what tells in one pass which rules to run; without it all of them are run.

        `narrowed`: another rule set with these rules, whose passes serve here too, and which of the rules
        each target has. By default a target has all that name it.
        """
        self._every_rule = tuple(rules)
        self._databases = databases
        # Narrowed to one media type, it can be narrowed to another.
        self._whole = self if narrowed is None else narrowed[0]
        by_target = dict(_select(self._every_rule, None) if narrowed is None else narrowed[1])
        used = {rule.id for members in by_target.values() for rule in members}
        self.rules = tuple(rule for rule in self._every_rule if rule.id in used)
        self.body_rules = by_target.get("body", ())
        self.field_rules = by_target.get("field", ())
        self.head_part_rules = by_target.get("head-part", ())
        self.size_rules = by_target.get("size", ())
        #: Redactions of bodies that apply one after another, each to the result of the one before.
        self.in_order_rules = tuple(
            rule
            for rule in self.body_rules
            if rule.in_order and rule.enforced and rule.action is Action.REDACT
        )
        #: Bytes that a streamed body must hold back, and look back on, so that no match is missed.
        self.window = max((rule.max_length for rule in self.body_rules), default=0)
        self._prefilters: dict[str, Prefilter] = {}
        for target, members in by_target.items():
            if narrowed is not None:
                self._prefilters[target] = narrowed[0]._prefilters[target].narrowed(members)
            elif target == "head-part" and "field" in self._prefilters and _within(members, self.field_rules):
                # The largest of the databases serves here too.
                self._prefilters[target] = self._prefilters["field"].narrowed(members)
            else:
                self._prefilters[target] = make_prefilter(members, databases, target)
        self._named_headers = _by_name(self._prefilters, "header:")
        self._exact_headers = _by_name(self._prefilters, "header-exact:")
        self._by_selection: dict[Selection, RuleSet] = {}
        self._narrowed = lru_cache(_REMEMBERED_MEDIA_TYPES)(self._narrow)

    def looks_at(self, target: str) -> bool:
        """Whether any rule looks at the target."""
        return target in self._prefilters

    def always(self, target: str) -> tuple[CompiledRule, ...]:
        """The rules that run on every text of the target, because nothing speaks for them in the one pass."""
        prefilter = self._prefilters.get(target)
        return prefilter.always if prefilter is not None else ()

    def for_media_type(self, essence: str) -> "RuleSet":
        """The rules for messages of this media type; "" when it has none, which counts as text."""
        return self._narrowed(essence)

    def _narrow(self, essence: str) -> "RuleSet":
        # Few selections serve all media types.
        selection = _select(self._every_rule, essence)
        if selection not in self._by_selection:
            self._by_selection[selection] = RuleSet(
                self._every_rule, self._databases, (self._whole, selection)
            )
        return self._by_selection[selection]

    def scan(
        self,
        target: str,
        text: bytes,
        *,
        start: int = 0,
        stop: int | None = None,
        resume: dict[str, int] | None = None,
        timeout: float = SCAN_TIMEOUT,
    ) -> list[Match]:
        """Every match of every rule on the target, in the order of their spans; of each rule none overlap.

        A window of a longer text is scanned from `start` on, before which all is context, for matches that
        begin before `stop`. `resume` has the rules, by id, whose search begins further on: behind their last
        match. It is brought up to date, also by a match that a validator refused and that is therefore not in
        the answer. Raises ScanTimeout when it all takes longer than `timeout`.
        """
        prefilter = self._prefilters.get(target)
        if prefilter is None:
            return []
        return _scan((prefilter,), text, start, len(text) if stop is None else stop, resume, timeout)

    def fields_may_match(self, texts: Iterable[bytes]) -> bool:
        """False when surely no rule on single values matches any part of these texts."""
        # Texts may be made only when they are asked for.
        prefilter = self._prefilters.get("field")
        return prefilter is not None and any(map(prefilter.may_match_within, texts))

    def values_may_match(self, values: Sequence[bytes]) -> bool:
        """False when surely no rule on single values matches any of these."""
        prefilter = self._prefilters.get("field")
        return prefilter is not None and prefilter.may_match_one_of(values)

    def head_parts_may_match(self, texts: Iterable[bytes]) -> bool:
        """The same for rules on parts of a head."""
        prefilter = self._prefilters.get("head-part")
        return prefilter is not None and any(map(prefilter.may_match_within, texts))

    def any_header_may_match(self, values: Iterable[bytes]) -> bool:
        """False when surely no rule on all headers matches any of these values."""
        every = self._prefilters.get("header")
        return every is not None and every.may_match_within(b"\n".join(values))

    def looks_at_header(self, name: bytes) -> bool:
        """Whether there are rules on just this header."""
        return name.lower() in self._named_headers or name in self._exact_headers

    def scan_header(self, name: bytes, value: bytes, *, timeout: float = SCAN_TIMEOUT) -> list[Match]:
        """Matches in one header's value. A rule that matches nothing at all there finds its presence."""
        prefilters = (
            self._prefilters.get("header"),
            self._named_headers.get(name.lower()),
            self._exact_headers.get(name),
        )
        applicable = [prefilter for prefilter in prefilters if prefilter is not None]
        return _scan(applicable, value, 0, len(value) + 1, None, timeout, empty=True)

    def scan_size(self, size: int, text: bytes | None = None) -> list[CompiledRule]:
        """The rules that a body of so many bytes is too large for; with its text, characters can be told."""
        found = []
        for rule in self.size_rules:
            assert rule.rule.max_size is not None
            measured = size
            if rule.unicode and text is not None and size > rule.rule.max_size:
                measured = len(Text(text).characters.string)
            if measured > rule.rule.max_size:
                found.append(rule)
        return found

    def substitute(
        self, rule: CompiledRule, text: bytes, replacement: bytes, *, timeout: float = SCAN_TIMEOUT
    ) -> bytes:
        """The text with every secret that the rule finds replaced: one step of an in-order pack."""
        return rule.substitute(text, replacement, timeout)


def _within(members: Iterable[CompiledRule], others: Iterable[CompiledRule]) -> bool:
    return set(members) <= set(others)


def _select(rules: Iterable[CompiledRule], essence: str | None) -> Selection:
    """Each target's rules, for messages of one media type (None: of any)."""
    by_target: dict[str, tuple[CompiledRule, ...]] = {}
    for rule in rules:
        for target in rule.rule.targets:
            if essence is None or rule.reads(target, essence):
                # Names of headers have no case (RFC 9110 section 5.1), unless a rule asks for it.
                key = target.lower() if target.startswith("header:") else target
                by_target[key] = (*by_target.get(key, ()), rule)
    return tuple(by_target.items())


def _by_name(prefilters: Mapping[str, Prefilter], prefix: str) -> dict[bytes, Prefilter]:
    """The rules on single headers, by the header's name."""
    return {
        target.removeprefix(prefix).encode(): prefilter
        for target, prefilter in prefilters.items()
        if target.startswith(prefix)
    }


def _scan(
    prefilters: Sequence[Prefilter],
    text: bytes,
    start: int,
    stop: int,
    resume: dict[str, int] | None,
    timeout: float,
    *,
    empty: bool = False,
) -> list[Match]:
    candidates = [rule for prefilter in prefilters for rule in prefilter.candidates(text, start, stop)]
    if not candidates:
        return []
    deadline = monotonic() + timeout
    subject = Text(text)
    matches: list[Match] = []
    for rule in candidates:
        begin = resume.get(rule.id, start) if resume else start
        found, end = rule.find(subject, begin, stop, deadline, empty=empty)
        if found:
            matches += found
        if resume is not None and end > start:
            resume[rule.id] = end
    if len(matches) > 1:
        matches.sort(key=_POSITION)
    return matches
