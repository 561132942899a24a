"""A rule made ready to run, and the search for its matches in one text."""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from time import monotonic
from typing import Any, NamedTuple

import regex

from icapd.errors import ScanTimeout
from icapd.http.media_types import is_textual
from icapd.policy.faults import RuleFault
from icapd.policy.keyword_search import KeywordSearch, holds_one
from icapd.policy.nearness import Nearness
from icapd.policy.one_pass import MANY_KEYWORDS
from icapd.policy.parsed import compiled
from icapd.policy.places import Places
from icapd.policy.rule import Action, Mode, Rule, Severity
from icapd.policy.text import Characters, Text, next_word
from icapd.policy.validators import Validator, find_validator
from icapd.policy.width import longest_reach
from icapd.policy.words import PLACEHOLDER, expanded

#: Bytes. What a stream holds back for a rule on requests that sets no bound: requests are inspected whole, so
#: this serves the rare one that is too large for that.
UNBOUNDED_REACH = 4096
#: Bytes. A stream holds back, and looks back on, as much as its rule with the longest reach asks for.
MAX_REACH = 64 * 1024
#: Bytes in the longest character of UTF-8 (RFC 3629 section 3).
MAX_CHARACTER_LENGTH = 4

_BODY_TARGETS = frozenset({"body", "field"})


class Match(NamedTuple):
    """Where a rule found something, in byte offsets; the text itself stays out, so a repr shows no secret."""

    rule: "CompiledRule"
    #: The `secret` group, or the whole match.
    start: int
    end: int
    full_start: int
    full_end: int


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class CompiledRule:
    """A checked rule with its pattern compiled and its names looked up. `compile_rule` makes them."""

    rule: Rule
    id: str
    action: Action
    severity: Severity
    score: int
    #: False in monitor mode: found and recorded, nothing changed.
    enforced: bool
    #: Whether the pack applies its redactions one after another, each to the result of the one before.
    in_order: bool
    #: Bytes that a match, its lookaround and what must stand near it may span.
    max_length: int
    #: Whether the pattern itself can't go beyond that.
    is_bounded: bool
    #: Whether it is better looked for by its keywords: the pattern holds many, or is nothing but digits and
    #: such, with words beside it that must stand near.
    is_known_by_words: bool
    unicode: bool
    keywords: tuple[bytes, ...]
    places: Places
    #: None for rules on `size` alone. Over bytes, or over characters when `unicode`.
    pattern: regex.Pattern[Any] | None
    #: The group that is redacted and fingerprinted.
    secret_group: str | int
    validators: tuple[Validator, ...]
    allow: tuple[regex.Pattern[Any], ...]
    #: Lower-case.
    stop_words: tuple[bytes, ...]
    near: Nearness | None

    def __repr__(self) -> str:
        return f"<CompiledRule {self.id}>"

    def reads(self, target: str, essence: str) -> bool:
        """Whether the rule looks at this target of a message of that media type."""
        if self.rule.media_types:
            return any(fnmatchcase(essence, glob) for glob in self.rule.media_types)
        return target not in _BODY_TARGETS or is_textual(essence)

    def takes(self, value: bytes) -> bool:
        """Whether a value keeps the rule's limits on values."""
        most, lines = self.rule.max_value_length, self.rule.max_value_lines
        return (most is None or len(value) <= most) and (lines is None or value.count(b"\n") <= lines)

    def has_keyword(self, text: bytes) -> bool:
        """Whether the text holds one of the keywords, in any case."""
        return not self.keywords or holds_one(self.keywords, text.lower())

    def find(
        self, text: Text, start: int, stop: int, deadline: float, *, empty: bool = False
    ) -> tuple[list[Match], int]:
        """Matches that begin in `start` <= byte < `stop`, as finditer gives them, less those refused.

        A match without a keyword within `max_length` of it counts for nothing. One that a validator or an
        `allow` pattern refuses is left out, and the search goes on at the next word in it: there may begin
        what was meant. Second value: the end of the last match that was taken, or where the search went on
        within one that was refused, else `start`; from there a search through the bytes that follow carries
        on. `empty` takes matches of no length too. Raises ScanTimeout behind the deadline (of the monotonic
        clock).
        """
        matches: list[Match] = []
        position = resume = start
        keywords: KeywordSearch | None = None
        for region_start, region_end in self.places.regions(text.raw, start, stop):
            position = max(position, region_start)
            while position < region_end:
                match = self._search(text, position, region_end, deadline)
                if match is None:
                    break
                position = match.full_start + 1
                if self.keywords and not self._holds_keyword(text, match):
                    keywords = keywords or KeywordSearch(self.keywords, text.lowered)
                    if not keywords.within(*self._around(match)):
                        continue
                resume = match.full_end
                if empty or match.start < match.end:
                    if self._accepts(text.raw, match, deadline):
                        matches.append(match)
                    else:
                        resume = next_word(text.raw, match.full_start, match.full_end)
                position = max(position, resume)
        return matches, resume

    def shows_alone(self, secret: bytes, timeout: float) -> bool:
        """Whether the rule finds the secret without anything around it. ScanTimeout after so many seconds."""
        matches, _ = self.find(Text(secret), 0, len(secret), monotonic() + timeout)
        return any((match.start, match.end) == (0, len(secret)) for match in matches)

    def _search(self, text: Text, start: int, stop: int, deadline: float) -> Match | None:
        """The first match that begins in `start` <= byte < `stop`."""
        assert self.pattern is not None, "rules on size have no pattern to search for"
        if self.unicode:
            return self._search_characters(text.characters, start, stop, deadline)
        # What begins in front of `stop`, and what it looks at, ends within the reach behind it.
        last = stop + self.max_length if self.is_bounded else len(text.raw)
        # Where a match may begin in one place only, it is not looked for behind that.
        search = self.pattern.search if stop - start > 1 else self.pattern.match
        try:
            # A budget is all that needs a clock down here. `regex` takes a negative one for none.
            found = search(text.raw, start, last, concurrent=True, timeout=max(0.0, deadline - monotonic()))
        except TimeoutError:
            raise ScanTimeout(self.id) from None
        if found is None:
            return None
        begin, end = found.span()
        return Match(self, *self._secret_of(found), begin, end) if begin < stop else None

    def _search_characters(
        self, characters: Characters, start: int, stop: int, deadline: float
    ) -> Match | None:
        assert self.pattern is not None, "as in `_search`"
        try:
            timeout = max(0.0, deadline - monotonic())
            found = self.pattern.search(
                characters.string, characters.index(start), concurrent=True, timeout=timeout
            )
        except TimeoutError:
            raise ScanTimeout(self.id) from None
        if found is None:
            return None
        offset = characters.offset
        full_start = offset(found.start())
        if full_start >= stop:
            return None
        start, end = self._secret_of(found)
        return Match(self, offset(start), offset(end), full_start, offset(found.end()))

    def _secret_of(self, found: regex.Match[Any]) -> tuple[int, int]:
        span = found.span(self.secret_group)
        # A group that took no part has the span (-1, -1).
        return span if span[0] >= 0 else found.span()

    def _holds_keyword(self, text: Text, match: Match) -> bool:
        """Whether one stands in the match itself, as nearly always."""
        lowered = text.raw[match.full_start : match.full_end].lower()
        # Of a thousand names the one that it begins with is found in a moment.
        return lowered.startswith(self.keywords) or holds_one(self.keywords, lowered)

    def _around(self, match: Match) -> tuple[int, int]:
        """Where a keyword may stand: in the match, or around it as far as a stream sees it."""
        first = min(match.full_start, max(0, match.full_end - self.max_length))
        return first, max(match.full_end, match.full_start + self.max_length)

    def _accepts(self, text: bytes, match: Match, deadline: float) -> bool:
        """Whether a match in the text is a finding, by all that its pattern can't say. Raises ScanTimeout."""
        if self.near is not None and not self.near.holds(text, match.full_start, match.full_end):
            return False
        secret = text[match.start : match.end]
        if self.stop_words:
            lowered = secret.lower()
            if any(word in lowered for word in self.stop_words):
                return False
        if self.allow:
            subject = Text(secret).characters.string if self.unicode else secret
            if any(self._occurs(pattern, subject, deadline) for pattern in self.allow):
                return False
        return all(validator(secret) for validator in self.validators)

    def _occurs(self, pattern: regex.Pattern[Any], subject: bytes | str, deadline: float) -> bool:
        try:
            timeout = max(0.0, deadline - monotonic())
            return pattern.search(subject, concurrent=True, timeout=timeout) is not None
        except TimeoutError:
            raise ScanTimeout(self.id) from None

    def substitute(self, text: bytes, replacement: bytes, timeout: float) -> bytes:
        """The text with the secret of each match replaced."""
        matches, _ = self.find(Text(text), 0, len(text), monotonic() + timeout)
        pieces, position = [], 0
        for match in matches:
            pieces += [text[position : match.start], replacement]
            position = match.end
        return b"".join([*pieces, text[position:]])


def compile_rule(rule: Rule, *, mode: Mode = "enforce", in_order: bool = False) -> CompiledRule:
    """Make a rule ready to run; RuleFault for a pattern, a validator or a mask that can't be.

    `mode` is the policy's; the rule's own mode, being more specific, wins over it.
    """
    if in_order and rule.mask != "redacted":
        raise RuleFault("mask", 'packs that redact in order know only "redacted"; leave it out')
    pattern = (
        None if rule.pattern is None else _compile(rule, "pattern", expanded(rule.pattern, rule.keywords))
    )
    near = None if rule.near is None else Nearness(rule.near)
    longest = reach(rule)
    max_length = rule.max_length or longest or UNBOUNDED_REACH
    is_bounded = longest is not None and longest <= max_length
    reach_of_all = max_length + (near.span if near else 0)
    is_word_list = PLACEHOLDER in (rule.pattern or "") and len(rule.keywords) > MANY_KEYWORDS
    # What must stand near a match is as good as keywords.
    words = rule.keywords or (near.literals if near else ())
    keywords = tuple(sorted({word.encode() for word in words}))
    return CompiledRule(
        rule=rule,
        id=rule.id,
        action=Action.parse(rule.action),
        severity=rule.severity,
        score=rule.score,
        enforced=(rule.mode or mode) == "enforce",
        in_order=in_order,
        max_length=reach_of_all,
        is_bounded=is_bounded,
        is_known_by_words=is_word_list or (near is not None and bool(keywords)),
        unicode=rule.unicode,
        keywords=keywords,
        places=Places(
            None if pattern is None or rule.unicode else pattern.pattern,
            rule.ignore_case,
            () if rule.unicode else keywords,
            reach_of_all if is_bounded and not rule.unicode else None,
            is_word_list=is_word_list,
        ),
        pattern=pattern,
        secret_group="secret" if pattern is not None and "secret" in pattern.groupindex else 0,
        validators=tuple(find_validator(name) for name in rule.validators),
        allow=tuple(_compile(rule, "allow", source) for source in rule.allow),
        stop_words=tuple(word.encode() for word in rule.stop_words),
        near=near,
    )


def reach(rule: Rule) -> int | None:
    """Bytes that a match of the rule's pattern may span; None when there is no telling, or too many."""
    longest = None if rule.pattern is None else longest_reach(expanded(rule.pattern, rule.keywords))
    if longest is None:
        return None
    length = longest * (MAX_CHARACTER_LENGTH if rule.unicode else 1)
    return length if length <= MAX_REACH else None


def _compile(rule: Rule, key: str, source: str) -> regex.Pattern[Any]:
    if not rule.unicode and not source.isascii():
        raise RuleFault(
            key, r"holds characters outside ASCII; write their UTF-8 bytes as \xNN, or set unicode = true"
        )
    flags = regex.IGNORECASE if rule.ignore_case else 0
    return compiled(key, source if rule.unicode else source.encode("ascii"), flags)
