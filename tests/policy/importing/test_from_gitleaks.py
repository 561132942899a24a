"""gitleaks configurations as packs: what is carried over, and what is told to be left out."""

from pathlib import Path

import pytest

from icapd.errors import PolicyError
from icapd.policy import Policy, load_policy
from icapd.policy.importing import Imported, import_rules
from icapd.policy.importing.pack_text import pack_text

#: A configuration that uses all that there is.
EVERYTHING = r'''
title = "House rules"
minVersion = "8.25.0"
novelty = 1

[extend]
useDefault = true
path = "base.toml"
disabledRules = ["gone"]

[[rules]]
id = "acme_api-key"
description = """An ACME
key"""
regex = """(?i)[\\w.-]{0,50}?(?:acme)(?:[ \\t\\w.-]{0,20})[\\s'"]{0,3}(?:=|>|:{1,3}=)[\\x60'"\\s=]{0,5}\
([a-z0-9]{32})(?:[\\x60'"\\s;]|\\\\[nr]|$)"""
entropy = 3.5
keywords = ["ACME"]
tags = ["house", "PCI"]
[[rules.allowlists]]
description = "samples"
regexes = ["^0+"]
stopwords = ["Example", "t.st"]
paths = ["x\\.lock"]
[[rules.allowlists]]
regexTarget = "line"
regexes = ["nosecret"]
[[rules.allowlists]]
condition = "AND"
regexes = ["^abc"]
stopwords = ["sample"]
[[rules.allowlists]]
condition = "AND"
regexes = ["^abd"]
commits = ["c0ffee"]

[[rules]]
id = "tkt"
Regex = "\\b(tkt)_([[:alnum:]]{24})\\b"
secretGroup = 2
keywords = ["tkt_"]

[[rules]]
id = "whole"
regex = "whole-[0-9a-f]{16}"
[rules.allowlist]
regexTarget = "match"
regexes = ["^whole-0"]

[[rules]]
id = "unbounded"
regex = "-----BEGIN HOUSE KEY-----[\\s\\S]{20,}?-----END"
keywords = ["-----begin"]

[[rules]]
id = "keyword-apart"
regex = "\\b[0-9a-f]{40}\\b"
keywords = ["housekey"]

[[rules]]
id = "letters"
regex = "(?i)clé[:=]\\s*(\\p{L}{12,20})"

[[rules]]
id = "path-only"
path = "\\.pem$"

[[rules]]
id = "path-too"
regex = "abc"
path = "\\.pem$"

[[rules]]
id = "needs-another"
regex = "abc"
[[rules.required]]
id = "tkt"
withinLines = 3

[[rules]]
id = "helper"
regex = "abc"
skipReport = true

[[rules]]
id = "explosive"
regex = "(?:\\w+\\s?)+="

[[rules]]
id = "too-random"
regex = "id=([ab]{8})"
entropy = 4.5

[[rules]]
id = "broken"
regex = "(?=a)"

[[rules]]
id = "named-otherwise"
regex = "abc[0-9]{9}"
keywords = ["clé"]
comment = "x"

[[allowlists]]
regexes = ["^\\$\\{"]
commits = ["c0ffee"]

[[allowlists]]
targetRules = ["whole"]
stopwords = ["ffff"]
'''
BASE = r"""
[[rules]]
id = "gone"
regex = "gone_[0-9]{8}"
[[rules]]
id = "tkt"
description = "Ticket of the base"
regex = "x"
entropy = 2.0
keywords = ["ticket"]
[[rules]]
id = "kept"
regex = "kept_[0-9a-f]{16}"
"""


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Imported:
    directory = tmp_path_factory.mktemp("gitleaks")
    (directory / "gitleaks.toml").write_text(EVERYTHING)
    (directory / "base.toml").write_text(BASE)
    return import_rules(directory / "gitleaks.toml", "gitleaks", "house")


@pytest.fixture(scope="module")
def policy(imported: Imported, tmp_path_factory: pytest.TempPathFactory) -> Policy:
    """The imported pack, written and loaded."""
    directory = tmp_path_factory.mktemp("pack")
    (directory / "house.toml").write_text(pack_text(imported.rules, imported.description, ["Imported."]))
    return load_policy(directory, ["house"])


def found(policy: Policy, text: str) -> list[tuple[str, str]]:
    raw = text.encode()
    matches = policy.response.scan("body", raw)
    return [(match.rule.id.partition(".")[2], raw[match.start : match.end].decode()) for match in matches]


def test_rules_carried_over(imported: Imported) -> None:
    assert [rule.id for rule in imported.rules] == [
        "house.tkt",
        "house.kept",
        "house.acme-api-key",
        "house.whole",
        "house.unbounded",
        "house.keyword-apart",
        "house.letters",
        "house.named-otherwise",
    ]
    assert imported.description == "House rules"


def test_pack_loads_proves_itself_and_finds_its_own_examples(imported: Imported, policy: Policy) -> None:
    assert [rule.id for rule in policy.rules] == [rule.id for rule in imported.rules]
    for rule in imported.rules:
        for example in rule.match:
            assert isinstance(example, str)
            assert rule.id.partition(".")[2] in [name for name, _ in found(policy, f"a {example} b")]


ACME = "q7x2m9k4w8z1v6b3n5c0p2l7j4h9g6f1"


@pytest.mark.parametrize(
    ("text", "secrets"),
    [
        (f'acme_key = "{ACME}"', [("acme-api-key", ACME)]),
        (f"ACME key: secret={ACME}", []),
        (f"the_ACME_key := '{ACME.upper()}'", [("acme-api-key", ACME.upper())]),
        pytest.param(f"acme = {'ab' * 16};", [], id="too little entropy"),
        pytest.param(f"acme = 0{ACME[1:]};", [], id="allowed by regex"),
        pytest.param(f"acme = {ACME[:25]}example;", [], id="stop word"),
        pytest.param(f"acme = {ACME[:28]}test;", [("acme-api-key", f"{ACME[:28]}test")], id="a dot is a dot"),
        pytest.param(f"acme = abc{ACME[:23]}sample;", [], id="both conditions hold"),
        pytest.param(f"acme = {ACME[:26]}sample;", [("acme-api-key", f"{ACME[:26]}sample")], id="one does"),
        ("tkt_Ab3dEf6hIj9lMn2pQr5tUv8x", [("tkt", "Ab3dEf6hIj9lMn2pQr5tUv8x")]),
        ("whole-0123456789abcdef", []),
        ("whole-1123456789abcdef", [("whole", "whole-1123456789abcdef")]),
        pytest.param("whole-1123456789ffffff", [], id="global, for this rule"),
        ("kept_1123456789ffffff", [("kept", "kept_1123456789ffffff")]),
        ("gone_12345678", []),
        ("clé: straßenbahner", [("letters", "straßenbahner")]),
    ],
)
def test_imported_rules_find(policy: Policy, text: str, secrets: list[tuple[str, str]]) -> None:
    assert found(policy, text) == secrets


def test_rule_of_both_files_is_merged(imported: Imported) -> None:
    (ticket,) = [rule for rule in imported.rules if rule.id == "house.tkt"]
    assert (ticket.description, ticket.validators) == ("Ticket of the base", ("entropy>=2",))
    assert ticket.keywords == ("ticket", "tkt_")


def test_stop_words_and_tags(imported: Imported) -> None:
    (acme,) = [rule for rule in imported.rules if rule.id == "house.acme-api-key"]
    assert (acme.stop_words, acme.tags) == (("example", "t.st"), ("house",))


def test_what_is_left_out_is_told(imported: Imported) -> None:
    whole = {left.rule: left.key for left in imported.left_out if left.whole_rule}
    assert whole == {
        "path-only": "path",
        "path-too": "path",
        "needs-another": "required",
        "helper": "skipReport",
        "explosive": "regex",
        "too-random": "regex",
        "broken": "regex",
    }
    assert {(left.rule, left.key) for left in imported.left_out if not left.whole_rule} == {
        ("", "novelty"),
        ("", "extend.useDefault"),
        ("", "global allowlist, commits"),
        ("acme_api-key", "allowlists 1, paths"),
        ("acme_api-key", "allowlists 2, regexes"),
        ("acme_api-key", "allowlists 4"),
        ("acme_api-key", "tags"),
        ("named-otherwise", "keywords"),
        ("named-otherwise", "comment"),
    }
    assert {(choice.rule, choice.key) for choice in imported.chosen} == {
        ("house.unbounded", "max_length"),
        ("house.keyword-apart", "max_length"),
        ("house.letters", "max_length"),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[rules]]\nid = \n", "gitleaks.toml:2: not TOML"),
        ("a = 1\n", "holds no [[rules]]"),
        ("rules = 1\n", 'key "rules": is no list of tables'),
        ('\n[[rules]]\nregex = "a"\n', 'gitleaks.toml:2: rule "#1": key "id": missing'),
        ('[[rules]]\nid = "a"\nregex = "a"\n\n[[rules]]\nid = "a"\n', 'gitleaks.toml:5: rule "a": key "id"'),
        ('[[rules]]\nid = "a"\nentropy = "x"\n', 'rule "a": key "entropy": expected `float`, got `str`'),
        ('[[rules]]\nid = "a"\nallowlists = [1]\n', 'rule "a": key "allowlists[0]": expected `object`'),
        ('[extend]\npath = "gone.toml"\n', "gone.toml: can't be read"),
    ],
)
def test_faults_name_file_line_rule_and_key(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "gitleaks.toml").write_text(text)
    with pytest.raises(PolicyError) as raised:
        import_rules(tmp_path / "gitleaks.toml", "gitleaks", "house")
    assert message in str(raised.value)


def test_files_that_extend_each_other_come_to_an_end(tmp_path: Path) -> None:
    (tmp_path / "gitleaks.toml").write_text(
        '[extend]\npath = "gitleaks.toml"\n[[rules]]\nid = "a"\nregex = "a[0-9]{9}"\n'
    )
    imported = import_rules(tmp_path / "gitleaks.toml", "gitleaks", "house")
    assert [rule.id for rule in imported.rules] == ["house.a"]
    assert [left.key for left in imported.left_out] == ["extend.path"]
