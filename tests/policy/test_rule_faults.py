"""Broken rule files: each with the message that names file, rule and key, and says what to write."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from icapd.errors import PolicyError
from icapd.policy import load_policy

SOUND = {
    "id": '"site.word"',
    "description": '"a word"',
    "targets": '["body"]',
    "pattern": "'abc'",
    "action": '"redact"',
    "severity": '"low"',
    "match": '["abc"]',
}


def rule(**changes: str | None) -> str:
    """The text of a sound [[rule]] with some keys changed, added, or left out (None)."""
    keys = {**SOUND, **changes}
    return "[[rule]]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items() if value is not None)


def at(key: str, problem: str) -> str:
    """The message for that key of the sound rule, behind the file's name."""
    return f': rule "site.word": key "{key}": {problem}'


NO_BOUND = "missing: the pattern sets no bound up to 65536; write how many bytes a match may span"
KNOWN_TARGETS = "body, field, url, header, head-part, method, content-type, size, name, magic"

CASES = [
    # The file.
    pytest.param("[[rule]]\nid = \n", ":2: not TOML: Invalid value", id="TOML syntax"),
    pytest.param(
        "a = " + "[" * 5000, ": arrays or tables in more arrays than can be read", id="TOML too deep"
    ),
    pytest.param("a = '''", ": not TOML: Expected \"'''\" (at end of document)", id="TOML cut off"),
    pytest.param("a = '\udcff'", ": is not UTF-8 (byte 5); save it as UTF-8", id="not UTF-8"),
    pytest.param("[[rules]]", ': key "rules": unknown key (did you mean "rule"?)', id="unknown table"),
    pytest.param(
        "[rule]",
        ': key "rule": expected `array`, got `object`; write its head in two pairs of brackets: [[...]]',
        id="one rule, not a list",
    ),
    pytest.param(
        '[[rule]]\npattern = "\\d"\n',
        ":2: not TOML: Unescaped '\\' in a string; write patterns between ''' and '''",
        id="pattern in double quotes",
    ),
    pytest.param("[[rule]]", ': rule "#1": key "id": missing: it has no default', id="no id"),
    pytest.param(
        '[pack]\nredaction = "inorder"',
        ': key "redaction": unknown value "inorder" (did you mean "in-order"?)',
        id="unknown redaction",
    ),
    # The keys of a rule and their types.
    pytest.param(rule(patern="'a'"), at("patern", 'unknown key (did you mean "pattern"?)'), id="unknown key"),
    pytest.param(rule(severity=None), at("severity", "missing: it has no default"), id="missing key"),
    pytest.param(
        rule(score='"ten"'),
        at("score", "expected `int`, got `str`; write the number without quotes"),
        id="wrong type",
    ),
    pytest.param(
        rule(targets='"body"'),
        at("targets", 'expected `array`, got `str`; write a list: ["..."]'),
        id="a word for a list",
    ),
    pytest.param(
        rule(match="[1]"), at("match[0]", "expected `str | object`, got `int`"), id="wrong type within"
    ),
    pytest.param(
        rule(redacts='[{ input = "abc" }]'),
        at("redacts[0].output", "missing: it has no default"),
        id="missing key within",
    ),
    pytest.param(
        rule(action='"redcat"'),
        at("action", 'unknown value "redcat" (did you mean "redact"?)'),
        id="unknown action",
    ),
    pytest.param(
        rule(severity='"urgent!"'),
        at("severity", 'unknown value "urgent!" (known: info, low, medium, high, critical)'),
        id="unknown severity",
    ),
    pytest.param(
        rule(mode='"monitoring"'),
        at("mode", 'unknown value "monitoring" (did you mean "monitor"?)'),
        id="unknown mode",
    ),
    # What must hold across keys.
    pytest.param(
        rule(id='"word"'),
        ': rule "word": key "id": write "site.name", the name in lower-case letters, digits and dashes',
        id="id without a pack",
    ),
    pytest.param(
        rule(id='"pci.word"'),
        ': rule "pci.word": key "id": must begin with the name of its file: "site.word"',
        id="id of another pack",
    ),
    pytest.param(rule() + rule(), at("id", "stands twice in the file; give one another name"), id="twice"),
    pytest.param(
        rule(description='" "'),
        at("description", "is empty; say in a line what the rule finds"),
        id="no description",
    ),
    pytest.param(
        rule(targets="[]"),
        at("targets", f"is empty; name what the rule looks at: {KNOWN_TARGETS}"),
        id="no target",
    ),
    pytest.param(
        rule(targets='["bdy"]'),
        at("targets", 'unknown target "bdy" (did you mean "body"?)'),
        id="unknown target",
    ),
    pytest.param(
        rule(targets='["header:"]'),
        at("targets", '"header:" has no header name behind the colon (RFC 9110 section 5.1)'),
        id="header without a name",
    ),
    pytest.param(
        rule(targets='["body", "header:Cookie", "header-exact:cookie"]'),
        at("targets", "names something twice; once is enough"),
        id="target twice",
    ),
    pytest.param(
        rule(targets='["header", "header:Cookie"]'),
        at("targets", '"header" takes in every header; leave out that or "header:Cookie"'),
        id="header within header",
    ),
    pytest.param(
        rule(targets='["method"]'),
        at("action", 'target "method" can\'t be redacted; write "log" or "block"'),
        id="target that can't be redacted",
    ),
    pytest.param(
        rule(targets='["url"]', media_types='["text/*"]'),
        at(
            "media_types",
            "only targets body, field, content-type, size, name, magic have a media type; leave it out",
        ),
        id="media type of a URL",
    ),
    pytest.param(
        rule(pattern=None), at("pattern", "missing: target body is matched by a pattern"), id="no pattern"
    ),
    pytest.param(
        rule(pattern="'ab(c'"),
        at("pattern", "no regular expression: missing ) at position 4"),
        id="broken pattern",
    ),
    *(
        pytest.param(
            rule(pattern=f"'{pattern}'"),
            at(
                "pattern",
                f"can't have {what}: texts are searched from front to back, and piece by piece; "
                "name what counts (?P<secret>...)",
            ),
            id=f"a match that begins elsewhere, {what}",
        )
        for pattern, what in [
            (r"a\Kb", r"\K"),
            (r"\\\Gab", r"\G"),
            ("(?r)ab", "(?r)"),
            ("(?ir)ab", "(?ir)"),
        ]
    ),
    *(
        pytest.param(
            rule(pattern=f"'{pattern}'"),
            at("pattern", f"matches nothing shorter than {shortest} characters; repeat less often"),
            id=f"a repeat without measure, {pattern}",
        )
        for pattern, shortest in [("a{1000000000}", 1000000000), ("b(?:a{9999}){9999}", 99980002)]
    ),
    pytest.param(
        rule(pattern="'(?V1)ab'"),
        at("pattern", "no regular expression: VERSION0 and VERSION1 flags are mutually incompatible"),
        id="flags that contradict",
    ),
    pytest.param(
        rule(allow="['(?u)a']"),
        at("allow", "no regular expression: cannot use UNICODE flag with a bytes pattern"),
        id="flags of characters",
    ),
    pytest.param(
        rule(near="{ pattern = '(?u)a', before = 5 }"),
        at("near.pattern", "no regular expression: cannot use UNICODE flag with a bytes pattern"),
        id="near flags of characters",
    ),
    pytest.param(
        rule(allow="['[']"),
        at("allow", "no regular expression: unterminated character set at position 1"),
        id="broken allow",
    ),
    pytest.param(
        rule(pattern="'é'"),
        at(
            "pattern",
            "holds characters outside ASCII; write their UTF-8 bytes as \\xNN, or set unicode = true",
        ),
        id="pattern of characters",
    ),
    pytest.param(
        rule(pattern="'a+'"),
        at("max_length", NO_BOUND),
        id="no bound",
    ),
    pytest.param(
        rule(pattern="'a{70000}'"),
        at("max_length", NO_BOUND),
        id="too wide a pattern",
    ),
    pytest.param(
        rule(max_length="70000"),
        at("max_length", "70000 is out of range: 1 to 65536 bytes"),
        id="too wide a bound",
    ),
    pytest.param(
        rule(keywords='["ABC"]'),
        at("keywords", '"ABC": write lower-case ASCII; it is found in any case'),
        id="keyword with capitals",
    ),
    pytest.param(
        rule(validator='"luhm"'),
        at("validator", 'unknown validator "luhm" (did you mean "luhn"?)'),
        id="unknown validator",
    ),
    pytest.param(rule(score="-1"), at("score", "-1 is out of range: 0 to 1000"), id="negative score"),
    pytest.param(
        rule(targets='["field"]', max_value_lines="-2"),
        at("max_value_lines", "-2 is out of range: 0 or more"),
        id="negative limit",
    ),
    pytest.param(
        rule(max_value_length="9"),
        at("max_value_length", 'only target "field" has values; add it to targets or leave this out'),
        id="limit without values",
    ),
    pytest.param(
        rule(max_size="9"),
        at("max_size", 'only target "size" has it; leave it out or add a rule on size'),
        id="size of a body",
    ),
    pytest.param(
        rule(targets='["size", "url"]', action='"log"'),
        at("targets", '"size" stands alone; give the other targets a rule of their own'),
        id="size and more",
    ),
    pytest.param(
        rule(targets='["size"]', action='"log"', match=None),
        at("pattern", "a rule on size matches no text; leave it out"),
        id="size and pattern",
    ),
    pytest.param(
        rule(targets='["size"]', action='"log"', match=None, pattern=None),
        at("max_size", "missing: a rule on size needs the largest size it lets pass"),
        id="size without a size",
    ),
    # Words.
    pytest.param(
        rule(near='{ words = ["key"], bfore = 1 }'),
        at("near.bfore", "unknown key"),
        id="unknown key within near",
    ),
    pytest.param(
        rule(near="{ before = 9 }"),
        at("near", "names nothing; give it words, or a pattern"),
        id="near nothing",
    ),
    pytest.param(
        rule(near='{ words = ["key"] }'),
        at("near", "looks nowhere; say how many bytes before or after the match"),
        id="near nowhere",
    ),
    pytest.param(
        rule(near='{ words = ["key"], before = 2000 }'),
        at("near.before", "2000 is out of range: 0 to 1024 bytes"),
        id="near and far",
    ),
    pytest.param(
        rule(near='{ words = ["Key"], before = 9 }'),
        at("near.words", '"Key": write up to four lower-case words with one blank between them'),
        id="near a capital",
    ),
    pytest.param(
        rule(near='{ words = ["keyword"], before = 5 }'),
        at("near.words", '"keyword" is longer than the bytes that are looked at'),
        id="near a word too long",
    ),
    pytest.param(
        rule(near="{ pattern = '(', before = 5 }"),
        at("near.pattern", "no regular expression: missing ) at position 1"),
        id="near a broken pattern",
    ),
    pytest.param(
        rule(near="{ pattern = 'é', before = 5 }"),
        at("near.pattern", "holds characters outside ASCII; write their UTF-8 bytes as \\xNN"),
        id="near a pattern of characters",
    ),
    pytest.param(
        rule(stop_words='["Test"]'),
        at("stop_words", '"Test": write it in lower case; it is found in any case'),
        id="stop word with a capital",
    ),
    pytest.param(
        rule(mask='"label4"'), at("mask", 'unknown value "label4" (did you mean "label"?)'), id="unknown mask"
    ),
    pytest.param(
        '[pack]\nredaction = "in-order"\n' + rule(mask='"label"'),
        at("mask", 'packs that redact in order know only "redacted"; leave it out'),
        id="mask in order",
    ),
    pytest.param(
        rule(block_message=f'"{"x" * 501}"'),
        at("block_message", "has 501 characters; say it in 500"),
        id="long message",
    ),
    pytest.param(
        rule(block_message='"a\\nb"'),
        at("block_message", "holds a control character; write one line of plain text"),
        id="message of two lines",
    ),
    pytest.param(
        rule(tags='["secret", "owasp-mcp1"]'),
        at("tags", '"owasp-mcp1": write owasp-mcp01'),
        id="misspelled tag",
    ),
    # Proofs.
    pytest.param(
        rule(match='[{ text = "abc", hex = "61" }]'),
        at("match", "an example has text or hex, not both"),
        id="two examples in one",
    ),
    pytest.param(
        rule(match='[{ hex = "6" }]'),
        at("match", '"6" is no hexadecimal: write two digits for each byte'),
        id="half a byte",
    ),
    pytest.param(
        rule(match=None),
        at("match", "missing: give at least one text that the rule must find"),
        id="no proof",
    ),
    pytest.param(
        rule(match='["abc", { text = "abc", target = "url" }]'),
        at("match", '"url" is no target of the rule (known: body)'),
        id="example for another target",
    ),
    pytest.param(
        rule(match='["ABC"]'),
        at("match", "example 1 ('ABC') is not found: the pattern does not match"),
        id="failing match",
    ),
    pytest.param(
        rule(no_match='["b", "xabcx"]'),
        at("no_match", "example 2 ('xabcx') is found"),
        id="failing no_match",
    ),
    pytest.param(
        rule(redacts='[{ input = "abc", output = "" }]'),
        at("redacts", "example 1 ('abc') becomes '[REDACTED]'"),
        id="failing redacts",
    ),
]


@pytest.mark.parametrize(("text", "problem"), CASES)
def test_broken_rule_file(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "site.toml").write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(PolicyError) as caught:
        load_policy(tmp_path, packs=["site"])
    assert str(caught.value) == f"{tmp_path / 'site.toml'}{problem}"
    assert caught.value.exit_code == 3


def test_a_rule_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "site.toml").mkdir()
    with pytest.raises(PolicyError, match=re.escape("site.toml: can't be read: Is a directory")):
        load_policy(tmp_path, packs=["site"])


def test_the_sound_rule_is_sound(rule_files: Callable[..., Path]) -> None:
    assert [rule.id for rule in load_policy(rule_files(site=rule()), packs=["site"]).rules] == ["site.word"]
