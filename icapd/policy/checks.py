"""What must hold across the keys of one rule, beyond their types."""

from collections.abc import Iterator

import regex

from icapd.http.headers import TOKEN
from icapd.policy.faults import RuleFault, suggest
from icapd.policy.matching import MAX_REACH, reach
from icapd.policy.nearness import MAX_DISTANCE
from icapd.policy.rule import FIXED_TARGETS, PLAIN_TARGETS, VALUE_TARGETS, MatchExample, Near, Rule
from icapd.policy.tags import misspelled

#: Above this a score says nothing more; a typing error does reach it.
MAX_SCORE = 1000
#: Characters of a text that people read on a block page.
MAX_MESSAGE = 500

_ID = regex.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*\.[a-z0-9]+(?:-[a-z0-9]+)*")
_HEADER_TARGET = regex.compile(r"header(?:-exact)?:(?P<name>.*)")
_MEDIA_TYPE_TARGETS = frozenset({"body", "field", "size", "content-type", "name", "magic"})
_NEAR_WORD = regex.compile(r"[^\s\p{C}\p{Lu}]+(?: [^\s\p{C}\p{Lu}]+){0,3}")
# What makes a match begin elsewhere than where it is searched for.
_MOVED = regex.compile(r"(?<!\\)(?:\\\\)*+(?P<what>\\[KG]|\(\?[a-zL]*r[a-zL]*[):])")
_CONTROL = regex.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")

# What a rule on the size of a body, which reads no text, must not have.
_TEXT_KEYS = (
    "pattern",
    "keywords",
    "validator",
    "allow",
    "stop_words",
    "near",
    "match",
    "no_match",
    "redacts",
)


def check_rule(rule: Rule, pack: str) -> None:
    """RuleFault for the first thing that is wrong with a rule of the pack."""
    for fault in _faults(rule, pack):
        raise fault


def _faults(rule: Rule, pack: str) -> Iterator[RuleFault]:
    if not _ID.fullmatch(rule.id):
        yield RuleFault("id", f'write "{pack}.name", the name in lower-case letters, digits and dashes')
    elif rule.id.partition(".")[0] != pack:
        yield RuleFault("id", f'must begin with the name of its file: "{pack}.{rule.id.partition(".")[2]}"')
    if not rule.description.strip():
        yield RuleFault("description", "is empty; say in a line what the rule finds")
    yield from _target_faults(rule)
    yield from _pattern_faults(rule)
    yield from _word_faults(rule)
    if rule.near is not None:
        yield from _near_faults(rule.near)
    yield from _number_faults(rule)
    yield from _example_faults(rule)


def _target_faults(rule: Rule) -> Iterator[RuleFault]:
    if not rule.targets:
        yield RuleFault("targets", f"is empty; name what the rule looks at: {', '.join(PLAIN_TARGETS)}")
    for target in rule.targets:
        header = _HEADER_TARGET.fullmatch(target)
        if header is None and target not in PLAIN_TARGETS:
            yield RuleFault("targets", f'unknown target "{target}"{suggest(target, PLAIN_TARGETS)}')
        if header is not None and not TOKEN.fullmatch(header["name"].encode()):
            yield RuleFault(
                "targets", f'"{target}" has no header name behind the colon (RFC 9110 section 5.1)'
            )
        if rule.action == "redact" and target in FIXED_TARGETS:
            yield RuleFault("action", f'target "{target}" can\'t be redacted; write "log" or "block"')
    headers = [target for target in rule.targets if _HEADER_TARGET.fullmatch(target)]
    names = {target.partition(":")[2].lower() for target in headers}
    if len(set(rule.targets)) < len(rule.targets) or len(names) < len(headers):
        yield RuleFault("targets", "names something twice; once is enough")
    if headers and "header" in rule.targets:
        yield RuleFault("targets", f'"header" takes in every header; leave out that or "{headers[0]}"')
    if rule.media_types and _MEDIA_TYPE_TARGETS.isdisjoint(rule.targets):
        known = ", ".join(target for target in PLAIN_TARGETS if target in _MEDIA_TYPE_TARGETS)
        yield RuleFault("media_types", f"only targets {known} have a media type; leave it out")


def _pattern_faults(rule: Rule) -> Iterator[RuleFault]:
    if "size" in rule.targets:
        if rule.targets != ("size",):
            yield RuleFault("targets", '"size" stands alone; give the other targets a rule of their own')
        for key in _TEXT_KEYS:
            if getattr(rule, key):
                yield RuleFault(key, "a rule on size matches no text; leave it out")
        if rule.max_size is None:
            yield RuleFault("max_size", "missing: a rule on size needs the largest size it lets pass")
        return
    if rule.max_size is not None:
        yield RuleFault("max_size", 'only target "size" has it; leave it out or add a rule on size')
    if not rule.pattern:
        yield RuleFault("pattern", f"missing: target {rule.targets[0]} is matched by a pattern")
    elif (moved := _MOVED.search(rule.pattern)) is not None:
        problem = (
            "texts are searched from front to back, and piece by piece; name what counts (?P<secret>...)"
        )
        yield RuleFault("pattern", f"can't have {moved['what']}: {problem}")


def _word_faults(rule: Rule) -> Iterator[RuleFault]:
    for keyword in rule.keywords:
        if not keyword or not keyword.isascii() or keyword != keyword.lower():
            yield RuleFault("keywords", f'"{keyword}": write lower-case ASCII; it is found in any case')
    for word in rule.stop_words:
        if not word or word != word.lower():
            yield RuleFault("stop_words", f'"{word}": write it in lower case; it is found in any case')
    for tag in rule.tags:
        if right := misspelled(tag):
            yield RuleFault("tags", f'"{tag}": write {right}')
    if len(rule.block_message) > MAX_MESSAGE:
        problem = f"has {len(rule.block_message)} characters; say it in {MAX_MESSAGE}"
        yield RuleFault("block_message", problem)
    if _CONTROL.search(rule.block_message):
        yield RuleFault("block_message", "holds a control character; write one line of plain text")


def _near_faults(near: Near) -> Iterator[RuleFault]:
    if not near.words and near.pattern is None:
        yield RuleFault("near", "names nothing; give it words, or a pattern")
    for word in near.words:
        if not _NEAR_WORD.fullmatch(word):
            yield RuleFault(
                "near.words", f'"{word}": write up to four lower-case words with one blank between them'
            )
        elif len(word.encode()) > max(near.before, near.after) > 0:
            yield RuleFault("near.words", f'"{word}" is longer than the bytes that are looked at')
    for key in ("before", "after"):
        if not 0 <= (distance := getattr(near, key)) <= MAX_DISTANCE:
            yield RuleFault(f"near.{key}", f"{distance} is out of range: 0 to {MAX_DISTANCE} bytes")
    if not near.before and not near.after:
        yield RuleFault("near", "looks nowhere; say how many bytes before or after the match")


def _number_faults(rule: Rule) -> Iterator[RuleFault]:
    if not 0 <= rule.score <= MAX_SCORE:
        yield RuleFault("score", f"{rule.score} is out of range: 0 to {MAX_SCORE}")
    for key in ("max_value_length", "max_value_lines", "max_size"):
        value = getattr(rule, key)
        if value is not None and value < 0:
            yield RuleFault(key, f"{value} is out of range: 0 or more")
        if value is not None and key.startswith("max_value") and VALUE_TARGETS.isdisjoint(rule.targets):
            yield RuleFault(key, 'only target "field" has values; add it to targets or leave this out')
    if rule.max_length is not None and not 1 <= rule.max_length <= MAX_REACH:
        yield RuleFault("max_length", f"{rule.max_length} is out of range: 1 to {MAX_REACH} bytes")


def _example_faults(rule: Rule) -> Iterator[RuleFault]:
    if rule.pattern and not rule.match:
        yield RuleFault("match", "missing: give at least one text that the rule must find")
    for key in ("match", "no_match"):
        for example in getattr(rule, key):
            if isinstance(example, MatchExample):
                yield from _match_example_faults(rule, key, example)


def _match_example_faults(rule: Rule, key: str, example: MatchExample) -> Iterator[RuleFault]:
    if example.target and example.target not in rule.targets:
        near = suggest(example.target, rule.targets)
        yield RuleFault(key, f'"{example.target}" is no target of the rule{near}')
    if example.text and example.hex:
        yield RuleFault(key, "an example has text or hex, not both")
    try:
        bytes.fromhex(example.hex)
    except ValueError:
        yield RuleFault(key, f'"{example.hex}" is no hexadecimal: write two digits for each byte')


def check_reach(rule: Rule) -> None:
    """RuleFault when a body that streams can't be searched: how far a match may reach must be known.

    To be asked of a rule whose pattern compiles.
    """
    if rule.max_length is None and "body" in rule.targets and rule.covers("response") and reach(rule) is None:
        raise RuleFault(
            "max_length",
            f"missing: the pattern sets no bound up to {MAX_REACH}; write how many bytes a match may span",
        )
