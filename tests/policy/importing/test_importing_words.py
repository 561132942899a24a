"""Lists of words as packs."""

from pathlib import Path

import pytest

from icapd.errors import PolicyError
from icapd.policy import Policy, load_policy
from icapd.policy.importing import Imported, import_rules
from icapd.policy.importing.pack_text import pack_text

WORDS = """# Names of projects
Halibut
top  secret
Straße
日本語
c++
x1
halibut
***
"""


def pack(directory: Path, imported: Imported) -> Policy:
    (directory / "house.toml").write_text(pack_text(imported.rules, imported.description))
    return load_policy(directory, ["house"])


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Imported:
    file = tmp_path_factory.mktemp("words") / "projects.txt"
    file.write_text(WORDS)
    return import_rules(file, "words", "house")


@pytest.fixture(scope="module")
def policy(imported: Imported, tmp_path_factory: pytest.TempPathFactory) -> Policy:
    return pack(tmp_path_factory.mktemp("pack"), imported)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("the HALIBUT swims", ["HALIBUT"]),
        ("halibuts and xhalibut, halibut_1", []),
        ("(halibut)", ["halibut"]),
        ("top\n  Secret", ["top\n  Secret"]),
        ("topsecret", []),
        ("STRASSE, straße", ["straße"]),
        ("“Straße”—Straße\xa0Straße", ["Straße"] * 3),
        ("äStraße Straßeä", []),
        ("日本語 x日本語 日本語本", ["日本語"]),
        ("C++, c++!", ["C++", "c++"]),
        ("X1 x11", ["X1"]),
    ],
)
def test_words_are_found_whole_in_any_case(policy: Policy, text: str, words: list[str]) -> None:
    raw = text.encode()
    found = [raw[match.start : match.end].decode() for match in policy.response.scan("body", raw)]
    assert found == words


def test_what_can_not_be_looked_for_is_told(imported: Imported) -> None:
    assert [(left.key, left.why) for left in imported.left_out] == [
        ("line 8", "the same word as on line 2"),
        ("line 9", "no letter or digit, or a control character, in the word"),
    ]


def test_thousands_of_words_are_few_rules_that_the_one_pass_speaks_for(tmp_path: Path) -> None:
    words = [f"{stem}{number:04}" for stem in ("alpha", "be", "gamma") for number in range(700)]
    (tmp_path / "many.txt").write_text("\n".join(words))
    policy = pack(tmp_path, import_rules(tmp_path / "many.txt", "words", "house"))
    assert len(policy.rules) == 5
    assert policy.response.always("body") == ()
    for word in words[::97]:
        (match,) = policy.response.scan("body", f"a {word} b".encode())
        assert (match.start, match.end) == (2, 2 + len(word))


def test_table_says_what_to_do(tmp_path: Path) -> None:
    table = 'Word;Action;severity;description;owner\n"halibut; the";block;high;Project name;me\ncod;;;;\n'
    (tmp_path / "words.csv").write_text("\ufeff" + table)
    imported = import_rules(tmp_path / "words.csv", "csv", "house")
    assert [(rule.id, rule.action, rule.severity) for rule in imported.rules] == [
        ("house.project-name", "block", "high"),
        ("house.words", "log", "medium"),
    ]
    assert [(left.key, left.why) for left in imported.left_out] == [("owner", "unknown column")]
    assert len(pack(tmp_path, imported).rules) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("term,action\na,log\n", 'words.csv:1: the first line has no column "word" (known: term, action)'),
        ("", 'the first line has no column "word"'),
        ("word,action\ncod,log\nhake,blok\n", 'words.csv:3: unknown action "blok" (did you mean "block"?)'),
        ("word,severity\ncod,worst\n", 'words.csv:2: unknown severity "worst"'),
    ],
)
def test_faults_name_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "words.csv").write_text(text)
    with pytest.raises(PolicyError) as raised:
        import_rules(tmp_path / "words.csv", "csv", "house")
    assert message in str(raised.value)


def test_bytes_that_are_no_utf_8(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_bytes(b"abc\n\xff\n")
    with pytest.raises(PolicyError, match="is not UTF-8"):
        import_rules(tmp_path / "words.txt", "words", "house")
