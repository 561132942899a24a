"""Patterns that blow up: how the time of a rule grows on the worst texts that can be thought of for it.

Measured with the rule's own pattern, in CPU time, and judged by ratios: of one text's growth, and to a
reference that is measured beside it. So a slow or a busy machine comes to the same verdict.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from time import thread_time
from typing import Any, Literal, get_args

import regex

from icapd.policy.attack_texts import AttackText, attack_texts
from icapd.policy.matching import CompiledRule

#: From harmless to worst. `explosive` patterns take for ever on a line of text and are refused.
Verdict = Literal["linear", "heavy", "super-linear", "explosive"]
_ORDER: tuple[Verdict, ...] = get_args(Verdict)

#: Characters. On so few of them a quadratic pattern takes a millisecond or two; a cubic one takes seconds.
SHORT = 512
#: Times the reference that no pattern may take on a short text: about 100 ms.
_EXPLOSIVE_RATIO = 160
#: Characters of the texts by which growth is told, each four times as long as the one before.
_SIZES = (SHORT, 2048, 8192, 32_768)
#: Between 4 times as long for four times the text, which is linear, and 16, which is quadratic.
_SUPER_LINEAR_GROWTH = 8
#: Seconds after which longer texts are not tried, and those after which a search is stopped.
_ENOUGH_SECONDS, _TOO_LONG_SECONDS = 0.15, 0.5
#: Characters that a time is told for, and the times of the reference that they may take: about 50 ms.
_WHOLE, _HEAVY_RATIO = 65_536, 80
#: Targets that are no single values, so that limits on values don't hold for them.
_LONG = frozenset({"body", "url", "header", "header-exact"})
#: Characters at which growth is guessed, and how many texts are followed for it, and as many for their time.
_CLOSER_SIZE, _FOLLOWED = 2048, 2
#: Seconds below which two times can't be compared.
_NOISE_SECONDS = 5e-6
#: What measures a suspicious time again; the least of all counts.
_REPEATS = 3


@dataclass(frozen=True, slots=True)
class Screening:
    """The worst that was measured of one rule."""

    rule_id: str
    #: The key whose pattern it is: pattern, allow or near.
    key: str
    verdict: Verdict
    #: CPU time that `size` characters of the worst text took; a floor where the verdict is explosive.
    seconds: float
    size: int
    #: How the worst text is made. It holds pieces of the pattern, and no example.
    text: str

    def __str__(self) -> str:
        floor = "more than " if self.verdict == "explosive" else ""
        took = f"{floor}{self.seconds * 1000:.3g} ms for {self.size} characters"
        if self.verdict == "heavy":
            took += f", {self.seconds * 1000 * _WHOLE / self.size:.0f} ms for 64 KB"
        return f"{self.verdict}, {took}: {self.text}"


@dataclass(frozen=True, slots=True)
class _Subject:
    """One pattern of a rule, and what it is tried on."""

    rule_id: str
    key: str
    pattern: "regex.Pattern[Any]"
    unicode: bool
    #: Characters of the longest text that it ever sees.
    limit: int
    texts: tuple[AttackText, ...]

    def screening(self, verdict: Verdict, seconds: float, size: int, text: AttackText) -> Screening:
        return Screening(self.rule_id, self.key, verdict, seconds, size, text.description)


def screen(rule: CompiledRule, *, short: bool = False) -> Screening | None:
    """The verdict on a rule; None for one without a pattern. `short`: only whether it is explosive."""
    if rule.pattern is None:
        return None
    examples = [example if isinstance(example, str) else example.text for example in rule.rule.match]
    texts = _texts(rule.pattern, examples, rule.rule.keywords)
    subject = _Subject(rule.id, "pattern", rule.pattern, rule.unicode, _limit(rule), texts)
    found = [_screen(subject, short=short)]
    # What looks at a secret, or around it, sees little; taking for ever needs no more.
    found += [_screen(further, short=True) for further in _further(rule)]
    return max(found, key=lambda one: (one.verdict == "explosive", one.key == "pattern", one.seconds))


def _limit(rule: CompiledRule) -> int:
    """Characters of the longest text that the rule ever sees, as far as it matters here."""
    longest = rule.rule.max_value_length
    if longest is None or any(target.partition(":")[0] in _LONG for target in rule.rule.targets):
        return _SIZES[-1]
    return max(1, longest)


def _further(rule: CompiledRule) -> Iterator[_Subject]:
    """The patterns of `allow` and `near`."""
    for pattern in rule.allow:
        yield _Subject(rule.id, "allow", pattern, rule.unicode, SHORT, _texts(pattern))
    near = rule.rule.near
    if near is not None and near.pattern is not None:
        pattern = regex.compile(near.pattern.encode(), regex.VERSION0)
        yield _Subject(rule.id, "near", pattern, False, SHORT, _texts(pattern))


def _texts(
    pattern: "regex.Pattern[Any]", examples: Sequence[str] = (), keywords: Sequence[str] = ()
) -> tuple[AttackText, ...]:
    source = pattern.pattern
    return tuple(
        attack_texts(source.decode("ascii") if isinstance(source, bytes) else source, examples, keywords)
    )


def _screen(subject: _Subject, *, short: bool) -> Screening:
    size = min(SHORT, subject.limit)
    too_long = _EXPLOSIVE_RATIO * _reference()
    timed: list[tuple[float, AttackText]] = []
    for text in subject.texts:
        seconds = _seconds(subject, text.of_size(size), too_long)
        if seconds >= too_long <= _least(subject, text.of_size(size), too_long):
            return subject.screening("explosive", too_long, size, text)
        timed.append((seconds, text))
    if not timed:
        return Screening(subject.rule_id, subject.key, "linear", 0.0, size, "")
    timed.sort(key=lambda pair: -pair[0])
    seconds, worst = timed[0]
    if short:
        return subject.screening("linear", seconds, size, worst)
    if subject.limit <= SHORT:
        return _of_short_values(subject, worst, size)
    return _followed(subject, timed)


def _of_short_values(subject: _Subject, worst: AttackText, size: int) -> Screening:
    """A rule that sees short values only: 64 KB are many of them."""
    seconds = _least(subject, worst.of_size(size), _TOO_LONG_SECONDS)
    is_heavy = seconds * _WHOLE / size > _HEAVY_RATIO * _reference()
    return subject.screening("heavy" if is_heavy else "linear", seconds, size, worst)


def _followed(subject: _Subject, timed: Sequence[tuple[float, AttackText]]) -> Screening:
    """The verdict by the worst of the texts, at sizes up to the longest that the rule sees.

    `timed`: all texts with their times at SHORT, the longest first.
    """
    # Of each kind of text the frame that made it slowest.
    worst_frames = {text.description: (seconds, text) for seconds, text in reversed(timed)}
    closer = [
        (seconds, _seconds(subject, text.of_size(_CLOSER_SIZE), _ENOUGH_SECONDS), text)
        for seconds, text in worst_frames.values()
    ]
    slowest = sorted(closer, key=lambda item: -item[1])[:_FOLLOWED]
    # Small as it is yet, what grows fastest may be slowest in the end.
    growing = sorted(closer, key=lambda item: -item[1] / max(item[0], _NOISE_SECONDS))[:_FOLLOWED]
    texts = {text.description: text for _, _, text in (*slowest, *growing)}
    sizes = [size for size in _SIZES if size <= subject.limit]
    found = [_growth(subject, text, sizes) for text in texts.values()]
    return max(found, key=lambda one: (_ORDER.index(one.verdict), one.seconds))


def _growth(subject: _Subject, text: AttackText, sizes: Sequence[int]) -> Screening:
    """The verdict by one text at growing sizes, as far as its time allows."""
    measured: list[float] = []
    for size in sizes:
        measured.append(_least(subject, text.of_size(size), _TOO_LONG_SECONDS))
        if measured[-1] >= _ENOUGH_SECONDS:
            break
    size, seconds = sizes[len(measured) - 1], measured[-1]
    # A time that ran out tells no growth.
    timed = measured[:-1] if len(measured) > 2 and seconds >= _TOO_LONG_SECONDS else measured
    grows = len(timed) > 1 and timed[-1] > _SUPER_LINEAR_GROWTH * timed[-2]
    is_heavy = seconds * _WHOLE / size > _HEAVY_RATIO * _reference()
    verdict: Verdict = "linear" if not is_heavy else "super-linear" if grows else "heavy"
    return subject.screening(verdict, seconds, size, text)


def _least(subject: _Subject, text: str, timeout: float) -> float:
    """The least of several times; one that is far too long once."""
    least = _seconds(subject, text, timeout)
    for _ in range(_REPEATS - 1 if least < _ENOUGH_SECONDS else 0):
        least = min(least, _seconds(subject, text, timeout))
    return least


def _seconds(subject: _Subject, text: str, timeout: float) -> float:
    """CPU seconds that all matches of the rule in the text take to find; the timeout when it runs out."""
    searched = text if subject.unicode else text.encode("latin-1", "replace")
    start = thread_time()
    try:
        for _ in subject.pattern.finditer(searched, timeout=timeout):
            pass
    except TimeoutError:
        return timeout
    return thread_time() - start


@cache
def _reference() -> float:
    """CPU seconds of a plain search through 64 KB: what a second is worth on this machine."""
    # Sets only: there is no literal that `regex` could look for instead.
    pattern, text = regex.compile(rb"[b-j]\w{2,9}[0-9]"), b"the quick brown fox jumps " * (_WHOLE // 26)

    def once() -> float:
        start = thread_time()
        pattern.search(text)
        return thread_time() - start

    return min(once() for _ in range(5))
