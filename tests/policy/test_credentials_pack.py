"""The pack credentials: tokens of every kind vanish from every carrier, ordinary bodies stay as they are."""

import json
import random
import string
from collections.abc import Callable
from html import escape
from urllib.parse import quote_plus, unquote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.policies import UNHURRIED

from icapd.http.media_types import MediaType
from icapd.inspection import Fingerprinter, Inspector
from icapd.policy import Action, Policy, default_rules_directory, load_policy

HEX = "0123456789abcdef"
BASE36 = string.ascii_lowercase + string.digits
BASE62 = string.ascii_letters + string.digits
BASE64 = BASE62 + "+/"
BASE64URL = BASE62 + "-_"
UPPER36 = string.ascii_uppercase + string.digits
BASE32 = string.ascii_uppercase + "234567"
BECH32 = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L"

#: What a format is spelled with here: text as it stands, and (alphabet, length) for what a generator draws.
Piece = str | tuple[str, int]

UUID: list[Piece] = [(HEX, 8), "-", (HEX, 4), "-", (HEX, 4), "-", (HEX, 4), "-", (HEX, 12)]

#: Kinds by their rule: the token itself, and what has to stand before it, as the vendors document them.
KINDS: dict[str, tuple[str, list[Piece]]] = {
    "airtable-token": ("", ["pat", (BASE62, 14), ".", (HEX, 64)]),
    "age-secret-key": ("", ["AGE-SECRET-KEY-1", (BECH32, 58)]),
    "anthropic-api-key": ("", ["sk-ant-api03-", (BASE64URL, 93), "AA"]),
    "artifactory-key": ("", ["AKCp", (BASE62, 69)]),
    "asana-token": ("", ["2/1207654321098765/1208765432109876:", (HEX, 32)]),
    "atlassian-token": ("", ["ATATT3xFfGF0", (BASE64URL, 171), "=", (UPPER36, 8)]),
    "aws-access-key-id": ("", ["AKIA", (BASE32, 16)]),
    "aws-secret-access-key": ("aws_secret_access_key = ", [(BASE64, 40)]),
    "azure-account-key": ("AccountName=a;AccountKey=", [(BASE64, 86), "=="]),
    "azure-client-secret": ("", [(BASE62, 3), "8Q~", (BASE62, 34)]),
    "brevo-key": ("", ["xkeysib-", (HEX, 64), "-", (BASE62, 16)]),
    "cloudflare-token": ("CLOUDFLARE_API_TOKEN=", [(BASE64URL, 40)]),
    "databricks-token": ("", ["dapi", (HEX, 32)]),
    "datadog-key": ("DD_API_KEY=", [(HEX, 32)]),
    "digitalocean-token": ("", ["dop_v1_", (HEX, 64)]),
    "docker-hub-token": ("", ["dckr_pat_", (BASE64URL, 27)]),
    "doppler-token": ("", ["dp.pt.", (BASE62, 43)]),
    "fastly-token": ("Fastly-Key: ", [(BASE64URL, 32)]),
    "figma-token": ("", ["figd_", (BASE64URL, 40)]),
    "github-fine-grained-token": ("", ["github_pat_", (BASE62, 22), "_", (BASE62, 59)]),
    "github-token": ("", ["ghp_", (BASE62, 36)]),
    "gitlab-token": ("", ["glpat-", (BASE64URL, 20)]),
    "google-api-key": ("", ["AIzaSy", (BASE64URL, 33)]),
    "google-oauth-client-secret": ("", ["GOCSPX-", (BASE64URL, 28)]),
    "google-oauth-token": ("", ["ya29.a0", (BASE64URL, 160)]),
    "grafana-token": ("", ["glsa_", (BASE62, 32), "_", (HEX, 8)]),
    "groq-key": ("", ["gsk_", (BASE62, 52)]),
    "hashicorp-vault-token": ("", ["hvs.", (BASE64URL, 90)]),
    "heroku-api-key": ("HEROKU_API_KEY=", UUID),
    "hubspot-token": ("", ["pat-eu1-", *UUID]),
    "huggingface-token": ("", ["hf_", (string.ascii_letters, 34)]),
    "linear-token": ("", ["lin_api_", (BASE62, 40)]),
    "mailchimp-key": ("mailchimp_api_key: ", [(HEX, 32), "-us21"]),
    "mailgun-key": ("", ["key-", (HEX, 32)]),
    "new-relic-key": ("", ["NRAK-", (UPPER36, 27)]),
    "notion-token": ("", ["ntn_", (string.digits, 11), (BASE62, 35)]),
    "npm-token": ("", ["npm_", (BASE62, 36)]),
    "openai-api-key": ("", ["sk-proj-", (BASE64URL, 74), "T3BlbkFJ", (BASE64URL, 74)]),
    "pagerduty-key": ("PAGERDUTY_TOKEN=", [(BASE64URL, 20)]),
    "planetscale-token": ("", ["pscale_tkn_", (BASE64URL, 43)]),
    "postman-key": ("", ["PMAK-", (HEX, 24), "-", (HEX, 34)]),
    "pypi-token": ("", ["pypi-AgEIcHlwaS5vcmc", (BASE64URL, 150)]),
    "replicate-token": ("", ["r8_", (BASE62, 37)]),
    "rubygems-key": ("", ["rubygems_", (HEX, 48)]),
    "sendgrid-key": ("", ["SG.", (BASE64URL, 22), ".", (BASE64URL, 43)]),
    "sentry-token": ("", ["sntryu_", (HEX, 64)]),
    "shopify-token": ("", ["shpat_", (HEX, 32)]),
    "sk-api-key": ("", ["sk-", (BASE62, 48)]),
    "slack-token": ("", ["xoxb-", (string.digits, 12), "-", (string.digits, 13), "-", (BASE62, 24)]),
    "square-oauth-secret": ("", ["sq0csp-", (BASE64URL, 43)]),
    "stripe-key": ("", ["sk_live_51", (BASE62, 97)]),
    "supabase-key": ("", ["sbp_", (HEX, 40)]),
    "tailscale-key": ("", ["tskey-auth-", (BASE62, 12), "CNTRL-", (BASE62, 32)]),
    "telegram-bot-token": ("", ["7", (string.digits, 9), ":AA", (BASE64URL, 33)]),
    "terraform-token": ("", [(BASE62, 14), ".atlasv1.", (BASE62, 67)]),
    "twilio-key": ("TWILIO_AUTH_TOKEN=", [(HEX, 32)]),
    "url-password": ("postgres://app:", [(BASE62, 20), "@db.internal/shop"]),
    "named-password": ("DB_PASSWORD=", [(BASE62, 16)]),
    "named-secret": ("ACME_API_KEY=", [(BASE62, 32)]),
}


def drawn(seed: int, pieces: list[Piece]) -> str:
    """A token as its vendor's generator may draw it: a digit and both cases, where the alphabet has them."""
    chance = random.Random(seed)
    token = ""
    for piece in pieces:
        if isinstance(piece, str):
            token += piece
            continue
        alphabet, length = piece
        part = [chance.choice(alphabet) for _ in range(length)]
        sure = [mark for mark in "4a7Z2q" if mark in alphabet]
        if length > 2 * len(sure):
            # In the middle, so that neither end is always the same.
            part[2 : 2 + len(sure)] = sure
        token += "".join(part)
    return token


#: Each carrier: how it spells a text, its media type, and how its reader reads it.
CARRIERS = [
    pytest.param(lambda text: text, "text/plain", lambda body: body, id="text"),
    pytest.param(lambda text: json.dumps({"n": 1, "a": [text]}), "application/json", str, id="json"),
    pytest.param(
        lambda text: json.dumps({"text": json.dumps({"a": f"first\n{text}"})}),
        "application/json",
        str,
        id="json-in-json",
    ),
    pytest.param(lambda text: f"<pre>{escape(text)}</pre>", "text/html", str, id="html"),
    pytest.param(
        lambda text: f"a=1&b={quote_plus(text)}",
        "application/x-www-form-urlencoded",
        unquote_plus,
        id="form",
    ),
]


@pytest.fixture(scope="module")
def policy() -> Policy:
    return load_policy(default_rules_directory(), packs=["credentials"])


@pytest.fixture(scope="module")
def inspector(policy: Policy) -> Inspector:
    return Inspector(policy.response, Fingerprinter.ephemeral(), UNHURRIED)


@pytest.mark.parametrize(("carry", "media_type", "read"), CARRIERS)
@pytest.mark.parametrize("kind", KINDS)
# The same tokens in each run: one in 250 looks like words to `random_token`, as its measures say.
@settings(max_examples=3, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32))
def test_no_half_of_a_token_is_left_in_its_carrier(
    inspector: Inspector,
    kind: str,
    carry: Callable[[str], str],
    media_type: str,
    read: Callable[[str], str],
    seed: int,
) -> None:
    before, pieces = KINDS[kind]
    token = drawn(seed, pieces)
    body = carry(f"# settings\n{before}{token}\n").encode()
    inspection = inspector.inspect_body(body, MediaType.parse(media_type.encode()))
    rules = {finding.rule_id for finding in inspection.findings if finding.action is Action.REDACT}
    assert f"credentials.{kind}" in rules
    left = read(inspection.text.decode())
    secret = token.partition("@")[0]
    assert secret[: len(secret) // 2] not in left
    assert secret[len(secret) // 2 :] not in left
    if media_type == "application/json":
        json.loads(inspection.text)


PEM_LINE = "MIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQC7Zq3Y9mVb2pXw"
PEM_BODY = "\n".join(f"{PEM_LINE[index:]}{PEM_LINE[:index]}" for index in range(24))


@pytest.mark.parametrize("label", ["RSA ", "EC ", "DSA ", "OPENSSH ", "ENCRYPTED ", ""])
@pytest.mark.parametrize(("carry", "media_type", "read"), CARRIERS)
def test_a_private_key_goes_whole(
    inspector: Inspector, label: str, carry: Callable[[str], str], media_type: str, read: Callable[[str], str]
) -> None:
    block = f"-----BEGIN {label}PRIVATE KEY-----\n{PEM_BODY}\n-----END {label}PRIVATE KEY-----"
    body = carry(f"before\n{block}\nbehind").encode()
    left = inspector.inspect_body(body, MediaType.parse(media_type.encode())).text.decode()
    assert "BEGIN" not in left
    assert not any(line in left for line in PEM_BODY.split("\n"))
    assert "before" in left
    assert "behind" in read(left)


def test_a_private_key_that_is_cut_off_goes_as_far_as_it_reaches(inspector: Inspector) -> None:
    body = f"-----BEGIN PRIVATE KEY-----\n{PEM_BODY}".encode()
    assert inspector.inspect_body(body, MediaType.parse(b"text/plain")).text == b"[REDACTED]"


CERTIFICATE_LINE = "MIIDdzCCAl+gAwIBAgIEAgAAuTANBgkqhkiG9w0BAQUFADBaMQswCQYDVQQGEwJJ\n"
SHA = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
HARMLESS = [
    pytest.param('{"colour": "#ff0000", "selected": true, "note": "it\'s fine"}', id="settings"),
    pytest.param(f'{{"id": "3f2b8c1e-7a4d-4e6f-9b0a-1c2d3e4f5a6b", "etag": "{SHA}"}}', id="uuid-and-digest"),
    pytest.param(f'{{"nextPageToken": "{SHA}", "items": []}}', id="page-token"),
    pytest.param(f'{{"csrf_token": "{SHA}", "xsrfToken": "{SHA}"}}', id="form-token"),
    pytest.param(
        '{"access_token": "ya29.a0AfB_byC4x7Qm2", "token_type": "Bearer", "expires_in": 3599, "scope": "a"}',
        id="oauth-response",
    ),
    pytest.param(f'{{"access_token": "{SHA}", "refresh_token": "{SHA[::-1]}"}}', id="sign-in-response"),
    pytest.param(f'{{"token": "{SHA}"}}', id="token-of-a-session"),
    pytest.param(f'{{"cacheKey": "{SHA}", "public_key": "{SHA}", "key": "{SHA}"}}', id="other-keys"),
    pytest.param('{"password": "Enter your password", "passwordHint": "8 characters"}', id="labels"),
    pytest.param('{"type": "object", "properties": {"password": {"type": "string"}}}', id="schema"),
    pytest.param(
        f'"node_modules/a": {{"version": "1.2.3", "integrity": "sha512-{SHA}{SHA[:22]}=="}}', id="lock-file"
    ),
    pytest.param("golang.org/x/oauth2 v0.34.0 h1:hqK/t4AKgbqWkdkcAeI8XLmbK+4m4G5YeQRrtiotGlw=", id="go-sum"),
    pytest.param(f'<img src="data:image/png;base64,iVBORw0KGgo{"AQEBAgMEBQYHCAkK" * 40}=">', id="image"),
    pytest.param(
        "https://b.s3.amazonaws.com/a?X-Amz-Credential=AKIA2QXZ7LHK4WPE5RTB%2F20260101%2Feu-west-1%2Fs3"
        f"%2Faws4_request&X-Amz-Signature={SHA}",
        id="signed-url",
    ),
    pytest.param(
        '<script src="https://maps.googleapis.com/maps/api/js?key=AIzaSyB4x7Qm2Zc9Kd1Lp8Rt6Vw3Yh5Jn0Gf2Sa"></script>',
        id="map-on-a-page",
    ),
    pytest.param("postgres://user:password@localhost/db and https://user:${TOKEN}@host/", id="placeholders"),
    pytest.param("API_KEY=your-api-key-here\nSECRET=<secret>\nTOKEN=${{ secrets.TOKEN }}", id="templates"),
    pytest.param("api_key = config.get('api_key')\ntoken = request.headers['X-Token']", id="references"),
    pytest.param(f"-  rev: {SHA[:40]}\n+  rev: {SHA[24:]}\n@@ -1,2 +1,2 @@ class Token(Base):", id="diff"),
    pytest.param(
        f"-----BEGIN CERTIFICATE-----\n{CERTIFICATE_LINE * 20}-----END CERTIFICATE-----", id="certificate"
    ),
    pytest.param("-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----", id="private-key-left-out"),
    pytest.param(".sk-folding-cube .sk-cube { -webkit-transform: rotateZ(45deg) } /* task-12 */", id="style"),
]


@pytest.mark.parametrize("body", HARMLESS)
@pytest.mark.parametrize("direction", ["request", "response"])
def test_ordinary_bodies_stay_as_they_are(policy: Policy, direction: str, body: str) -> None:
    rules = policy.request if direction == "request" else policy.response
    text = body.encode()
    found = Inspector(rules, Fingerprinter.ephemeral(), UNHURRIED).inspect_body(
        text, MediaType.parse(b"application/json" if body.startswith("{") else b"text/plain")
    )
    assert found.text is text, [finding.rule_id for finding in found.findings]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param('{"username": "ann", "password": "c0rrect-h0rse-7"}', id="sign-in"),
        pytest.param(f"api_key={SHA}&q=weather", id="key-of-an-api"),
        pytest.param(
            "grant_type=client_credentials&client_secret=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", id="oauth"
        ),
    ],
)
def test_a_request_may_carry_what_it_authenticates_with(policy: Policy, body: str) -> None:
    assert not policy.request.scan("body", body.encode())


def test_a_web_token_is_recorded_and_left_in_place(policy: Policy) -> None:
    body = b'{"id_token": "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJkZW1vIn0.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg"}'
    (match,) = policy.response.scan("body", body)
    assert (match.rule.id, match.rule.action) == ("credentials.jwt", Action.LOG)


def test_the_pack_keeps_off_what_authenticates_and_knows_its_reach(policy: Policy) -> None:
    assert len(policy.rules) >= 180
    for rule in policy.rules:
        assert not any(target.startswith("header") for target in rule.rule.targets), rule.id
        assert "secret" in rule.rule.tags, rule.id
        assert rule.rule.reference.startswith("https://"), rule.id
        assert rule.action in (Action.REDACT, Action.LOG), rule.id
    assert policy.response.window < 16 * 1024
