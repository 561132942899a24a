"""Personal data: found in every carrier, and not in the numbers that APIs are full of."""

import html
import json
import random
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from support.policies import UNHURRIED

from icapd.http.media_types import MediaType
from icapd.inspection import Fingerprinter, Inspector
from icapd.policy import Action, CompiledRule, Policy, default_rules_directory, load_policy
from icapd.policy.rule import Near

PACKS = sorted(path.stem for path in default_rules_directory().glob("*.toml") if path.stem != "policy")


@pytest.fixture(scope="module")
def policy() -> Policy:
    return load_policy(default_rules_directory(), packs=["pii"])


@pytest.fixture(scope="module")
def inspector(policy: Policy) -> Inspector:
    return Inspector(policy.response, Fingerprinter.ephemeral(), UNHURRIED)


def redacting(policy: Policy) -> list[CompiledRule]:
    return [rule for rule in policy.rules if rule.action is Action.REDACT]


CARRIERS: list[tuple[str, str, Callable[[str], str]]] = [
    ("text", "text/plain", lambda text: f"first line\n{text}\nlast line\n"),
    ("json", "application/json", lambda text: json.dumps({"note": f"first\n{text}\nlast"})),
    ("json-in-json", "application/json", lambda text: json.dumps({"text": json.dumps({"a": f" {text} "})})),
    ("html", "text/html", lambda text: f"<p>{html.escape(text)}</p>"),
]


@pytest.mark.parametrize(
    ("media_type", "carry"), [carrier[1:] for carrier in CARRIERS], ids=[c[0] for c in CARRIERS]
)
def test_every_example_is_taken_out_of_its_carrier(
    policy: Policy, inspector: Inspector, media_type: str, carry: Callable[[str], str]
) -> None:
    for rule in redacting(policy):
        for example in rule.rule.match:
            assert isinstance(example, str)
            body = carry(example).encode()
            inspection = inspector.inspect_body(body, MediaType.parse(media_type.encode()))
            assert rule.id in {finding.rule_id for finding in inspection.findings}, example
            assert b"[REDACTED]" in inspection.text
            if media_type == "application/json":
                assert json.loads(inspection.text).keys() == json.loads(body).keys()


def test_requests_are_recorded_and_left_as_they_are(policy: Policy) -> None:
    sent = [rule for rule in policy.request.rules if rule.id.startswith("pii.sent-")]
    assert {rule.id for rule in policy.request.rules} == {rule.id for rule in sent}
    assert {rule.action for rule in sent} == {Action.LOG}
    assert len(sent) == 4


@pytest.mark.parametrize("name", ["email-address", "phone-number"])
def test_what_nearly_every_page_has_is_off_until_it_is_wanted(
    policy: Policy, rule_files: Callable[..., Path], name: str
) -> None:
    rule_id = f"pii.{name}"
    assert rule_id not in {rule.id for rule in policy.rules}
    pack = (default_rules_directory() / "pii.toml").read_text("utf-8")
    directory = rule_files(pii=pack, policy=f'packs = ["pii"]\n[override."{rule_id}"]\nenabled = true\n')
    assert rule_id in {rule.id for rule in load_policy(directory).rules}


def digits(draw: random.Random, length: int) -> str:
    return draw.choice("123456789") + "".join(draw.choices("0123456789", k=length - 1))


NUMBERS: dict[str, Callable[[random.Random], str]] = {
    "snowflake": lambda draw: str(draw.randrange(10**16, 2 * 10**18)),
    "milliseconds": lambda draw: str(draw.randrange(1_600_000_000_000, 1_790_000_000_000)),
    "microseconds": lambda draw: str(draw.randrange(16 * 10**14, 179 * 10**13)),
    "nine-digits": lambda draw: digits(draw, 9),
    "ten-digits": lambda draw: digits(draw, 10),
    "eleven-digits": lambda draw: digits(draw, 11),
    "sixteen-digits": lambda draw: digits(draw, 16),
    "eighteen-digits": lambda draw: digits(draw, 18),
    "uuid": lambda draw: str(uuid.UUID(int=draw.getrandbits(128))),
    "hash": lambda draw: draw.randbytes(32).hex(),
    "hash-in-capitals": lambda draw: draw.randbytes(20).hex().upper(),
    "isbn": lambda draw: f"978-3-{digits(draw, 4)}-{digits(draw, 4)}-{digits(draw, 1)}",
    "telephone": lambda draw: f"+1 ({digits(draw, 3)}) {digits(draw, 3)}-{digits(draw, 4)}",
    "fraction": lambda draw: repr(draw.random()),
    "order": lambda draw: f"{draw.randrange(10, 27)}0{draw.randrange(1, 9)}12-{digits(draw, 7)}",
    "part": lambda draw: "".join(draw.choices("ABCDEFGH", k=2)) + digits(draw, 6) + "B",
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_numbers_of_everyday_traffic_stay(inspector: Inspector, kind: str) -> None:
    draw = random.Random(kind)
    values = [{"id": NUMBERS[kind](draw), "name": "x"} for _ in range(1000)]
    body = json.dumps(values).encode()
    assert inspector.inspect_body(body, MediaType("application/json")).text is body


@pytest.mark.parametrize("pack", PACKS)
def test_keywords_do_not_hide_a_word_that_is_near(pack: str) -> None:
    for rule in load_policy(default_rules_directory(), packs=[pack]).rules:
        if rule.rule.near is not None and rule.keywords:
            for spelling in spellings(rule.rule.near):
                # Behind the word something always stands, if only the match.
                tails = (b"", *(bytes([mark]) for mark in b":= \"'_-."))
                assert any(rule.has_keyword(spelling + tail) for tail in tails), (rule.id, spelling)


def spellings(near: Near) -> list[bytes]:
    return [word.replace(" ", mark).encode() for word in near.words for mark in ("", " ", "_", "-", ".")]
