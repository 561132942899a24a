"""A rule's own proof: its examples, run through the same code as traffic."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from icapd.errors import ScanTimeout
from icapd.policy.matching import REPLACEMENT, CompiledRule, Match
from icapd.policy.rule import MatchExample, RedactExample
from icapd.policy.ruleset import RuleSet

#: Characters of a long example that a message shows: enough to find it in the file, too few to leak a secret
#: that someone tried a rule on.
_SHOWN = 12
_LONG = 20


@dataclass(frozen=True, slots=True)
class Failure:
    """An example that went otherwise than its rule file says."""

    #: The key that it stands under: match, no_match or redacts.
    key: str
    problem: str


@dataclass(frozen=True, slots=True)
class Proof:
    """The outcome of a rule's examples."""

    examples: int
    failures: tuple[Failure, ...]


def prove(rule: CompiledRule) -> Proof:
    """Run every example of the rule."""
    runs: tuple[tuple[str, tuple[Any, ...], Callable[[RuleSet, Any], Iterator[str]]], ...] = (
        ("match", rule.rule.match, _unlike_match),
        ("no_match", rule.rule.no_match, _unlike_no_match),
        ("redacts", rule.rule.redacts, _unlike_output),
    )
    rules = RuleSet([rule])
    failures = [
        Failure(key, f"example {number} ({_shortened(example)}) {problem}")
        for key, examples, problems in runs
        for number, example in enumerate(examples, 1)
        for problem in _in_time(problems, rules, example)
    ]
    return Proof(sum(len(examples) for _, examples, _ in runs), tuple(failures))


def _in_time(
    problems: Callable[[RuleSet, Any], Iterator[str]], rules: RuleSet, example: Any
) -> Iterator[str]:
    try:
        yield from problems(rules, example)
    except ScanTimeout:
        yield "takes too long; make the pattern simpler"


def _unlike_match(rules: RuleSet, example: str | MatchExample) -> Iterator[str]:
    (rule,) = rules.rules
    matches, text = _scan(rules, example), _text(example).encode()
    if not matches:
        yield f"is not found: {_refusal(rule, text)}"
    for match in matches:
        length = match.full_end - match.full_start
        if length > rule.max_length and "body" in rule.rule.targets:
            yield f"spans {length} bytes, but max_length is {rule.max_length}"


def _unlike_no_match(rules: RuleSet, example: str | MatchExample) -> Iterator[str]:
    if _scan(rules, example):
        yield "is found"


def _unlike_output(rules: RuleSet, example: RedactExample) -> Iterator[str]:
    (rule,) = rules.rules
    output = rules.substitute(rule, example.input.encode(), REPLACEMENT)
    if output != example.output.encode():
        yield f"becomes {_shortened(output.decode(errors='replace'))}"


def _scan(rules: RuleSet, example: str | MatchExample) -> list[Match]:
    (rule,) = rules.rules
    target = rule.rule.targets[0] if isinstance(example, str) else example.target
    kind, _, name = target.partition(":")
    text = _text(example).encode()
    if kind.startswith("header"):
        return rules.scan_header(name.encode() or b"X-Example", text)
    return rules.scan(target, text)


def _refusal(rule: CompiledRule, text: bytes) -> str:
    """What keeps the rule from an example that it should find."""
    assert rule.pattern is not None, "rules on size have no examples"
    if not rule.has_keyword(text):
        return "it holds none of the keywords"
    subject = text.decode() if rule.unicode else text
    found = rule.pattern.search(subject)
    if found is None:
        return "the pattern does not match"
    around = subject[max(0, found.end() - rule.max_length) : found.start() + rule.max_length]
    if not rule.has_keyword(around if isinstance(around, bytes) else around.encode()):
        return f"the pattern matches, but further than max_length ({rule.max_length}) away from a keyword"
    return "the pattern matches, but validator, allow or a limit on values refuses it"


def _text(example: str | MatchExample | RedactExample) -> str:
    match example:
        case MatchExample():
            return example.text
        case RedactExample():
            return example.input
    return example


def _shortened(example: str | MatchExample | RedactExample) -> str:
    """The beginning of an example, on one line."""
    text = _text(example)
    return repr(text) if len(text) <= _LONG else f"{text[:_SHOWN]!r}... of {len(text)} characters"
