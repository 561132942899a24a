"""A rule's own proof: its examples, run through the same code as traffic."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import monotonic
from typing import Any

from icapd.errors import ScanTimeout
from icapd.policy.masks import mask_of
from icapd.policy.matching import CompiledRule, Match
from icapd.policy.rule import MatchExample, RedactExample
from icapd.policy.ruleset import SCAN_TIMEOUT, RuleSet
from icapd.policy.text import Text

#: Characters of a long example that a message shows: enough to find it in the file, too few to leak a secret
#: that someone tried a rule on.
_SHOWN = 12
_LONG = 20
#: What stands for the tag of a `label` in examples: the real one depends on the site's key.
_TAG = "TAG"


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


def prove(rule: CompiledRule, among: RuleSet | None = None) -> Proof:
    """Run every example of the rule; `among`: rules that it stands among, which need not be made anew."""
    runs: tuple[tuple[str, tuple[Any, ...], Callable[[CompiledRule, RuleSet, Any], Iterator[str]]], ...] = (
        ("match", rule.rule.match, _unlike_match),
        ("no_match", rule.rule.no_match, _unlike_no_match),
        ("redacts", rule.rule.redacts, _unlike_output),
    )
    rules = among or RuleSet([rule])
    failures = [
        Failure(key, f"example {number} ({_shortened(example)}) {problem}")
        for key, examples, problems in runs
        for number, example in enumerate(examples, 1)
        for problem in _in_time(problems, rule, rules, example)
    ]
    return Proof(sum(len(examples) for _, examples, _ in runs), tuple(failures))


def _in_time(
    problems: Callable[[CompiledRule, RuleSet, Any], Iterator[str]],
    rule: CompiledRule,
    rules: RuleSet,
    example: Any,
) -> Iterator[str]:
    try:
        yield from problems(rule, rules, example)
    except ScanTimeout:
        yield "takes too long; make the pattern simpler"


def _unlike_match(rule: CompiledRule, rules: RuleSet, example: str | MatchExample) -> Iterator[str]:
    matches, text = _scan(rule, rules, example), text_of(example)
    if not matches:
        yield f"is not found: {_refusal(rule, text)}"
    for match in matches:
        length = match.full_end - match.full_start
        most = rule.max_length - (rule.near.span if rule.near else 0)
        if length > most and "body" in rule.rule.targets:
            yield f"spans {length} bytes, but max_length is {most}"


def _unlike_no_match(rule: CompiledRule, rules: RuleSet, example: str | MatchExample) -> Iterator[str]:
    if _scan(rule, rules, example):
        yield "is found"


def _unlike_output(rule: CompiledRule, rules: RuleSet, example: RedactExample) -> Iterator[str]:
    text, position, pieces = example.input.encode(), 0, []
    matches, _ = rule.find(Text(text), 0, len(text), monotonic() + SCAN_TIMEOUT)
    for match in matches:
        secret = text[match.start : match.end]
        pieces += [text[position : match.start], mask_of(rule.rule, secret, _TAG).over(secret)]
        position = match.end
    output = b"".join([*pieces, text[position:]])
    if output != example.output.encode():
        shown = output.decode(errors="replace")
        yield f"becomes {_shortened(shown)}{_parting(shown, example.output)}"


def _scan(rule: CompiledRule, rules: RuleSet, example: str | MatchExample) -> list[Match]:
    """The rule's own matches."""
    target = rule.rule.targets[0] if isinstance(example, str) else example.target or rule.rule.targets[0]
    kind, _, name = target.partition(":")
    text = text_of(example)
    if kind.startswith("header"):
        matches = rules.scan_header(name.encode() or b"X-Example", text)
    else:
        matches = rules.scan(target, text)
    return [match for match in matches if match.rule is rule]


def _refusal(rule: CompiledRule, text: bytes) -> str:
    """What keeps the rule from an example that it should find."""
    assert rule.pattern is not None, "rules on size have no examples"
    if rule.rule.keywords and not rule.has_keyword(text):
        return "it holds none of the keywords"
    subject = text.decode() if rule.unicode else text
    found = rule.pattern.search(subject)
    if found is None:
        return "the pattern does not match"
    around = subject[max(0, found.end() - rule.max_length) : found.start() + rule.max_length]
    if rule.rule.keywords and not rule.has_keyword(around if isinstance(around, bytes) else around.encode()):
        return f"the pattern matches, but further than max_length ({rule.max_length}) away from a keyword"
    return "the pattern matches, but near, validator, allow, stop_words or a limit on values refuses it"


def text_of(example: str | MatchExample) -> bytes:
    """What stands in a `match` or `no_match`."""
    if isinstance(example, str):
        return example.encode()
    return bytes.fromhex(example.hex) if example.hex else example.text.encode()


def _parting(found: str, wanted: str) -> str:
    """Where two texts part, when a message shows too little of them to see it."""
    if len(found) <= _LONG:
        return ""
    pairs = enumerate(zip(found, wanted, strict=False), 1)
    place = next((number for number, (a, b) in pairs if a != b), min(len(found), len(wanted)) + 1)
    return f", which is not the output from character {place} on"


def _shortened(example: str | MatchExample | RedactExample) -> str:
    """The beginning of an example, on one line."""
    match example:
        case MatchExample():
            text = example.hex or example.text
        case RedactExample():
            text = example.input
        case _:
            text = example
    return repr(text) if len(text) <= _LONG else f"{text[:_SHOWN]!r}... of {len(text)} characters"
