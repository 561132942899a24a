"""What the shipped packs find in each way of writing it."""

import json
from base64 import b64encode
from urllib.parse import quote

import pytest
from inspecting import FORM, HTML, JSON
from support.policies import UNHURRIED

from icapd.http.headers import Headers
from icapd.http.media_types import MediaType
from icapd.inspection import Fingerprinter, Inspector
from icapd.policy import Action, default_rules_directory, load_policy

POLICY = load_policy(default_rules_directory())
REQUESTS = Inspector(POLICY.request, Fingerprinter(b"key"), UNHURRIED)
RESPONSES = Inspector(POLICY.response, Fingerprinter(b"key"), UNHURRIED)
KEY = "AKIA" + "QWERTYUIOPASDFGH"
UNION = "1' UNION SELECT username, password FROM users--"
SCRIPT = "<script>alert(document.cookie)</script>"
PARTS = MediaType.parse(b"multipart/form-data; boundary=B")
XML, YAML, JAVASCRIPT = MediaType("text/xml"), MediaType("application/yaml"), MediaType("text/javascript")


def part(value: str, head: str = 'Content-Disposition: form-data; name="q"') -> str:
    return f"--B\r\n{head}\r\n\r\n{value}\r\n--B--\r\n"


def b64(text: str) -> str:
    return b64encode(text.encode()).decode()


KEYS = {
    "part": (PARTS, part(KEY), part("[REDACTED]")),
    "json-part": (
        PARTS,
        part(rf'{{"k": "\u0041{KEY[1:]}"}}', "Content-Type: application/json"),
        part('{"k": "[REDACTED]"}', "Content-Type: application/json"),
    ),
    "base64": (
        YAML,
        f"files:\n  a: {b64('AWS_ACCESS_KEY_ID=' + KEY)}\n",
        f"files:\n  a: {b64('AWS_ACCESS_KEY_ID=[REDACTED]')}\n",
    ),
    "script": (JAVASCRIPT, rf"k='\x41{KEY[1:]}'", "k='[REDACTED]'"),
    "page": (HTML, rf"<script>k='a\u0026{KEY}'</script>", r"<script>k='a\u0026[REDACTED]'</script>"),
    "full-width": (JSON, json.dumps(["\uff21\uff2b\uff29\uff21" + KEY[4:]]), '["[REDACTED]"]'),
}


@pytest.mark.parametrize("inspector", [REQUESTS, RESPONSES], ids=["request", "response"])
@pytest.mark.parametrize(("media_type", "text", "redacted"), KEYS.values(), ids=KEYS)
def test_keys_go(inspector: Inspector, media_type: MediaType, text: str, redacted: str) -> None:
    assert inspector.inspect_body(text.encode(), media_type).text.decode() == redacted


ATTACKS = {
    "soap": (XML, f"<e><q>{UNION}</q></e>"),
    "xml-attribute": (XML, f'<e q="{UNION}"/>'),
    "part": (PARTS, part(UNION)),
    "script-in-a-part": (PARTS, part(SCRIPT)),
    "references-in-json": (JSON, json.dumps({"q": SCRIPT.replace("<", "&lt;").replace(">", "&gt;")})),
    "percent-in-json": (JSON, json.dumps({"q": quote(UNION)})),
    "base64-in-json": (JSON, json.dumps({"q": b64("x " + SCRIPT)})),
    "invisible-in-json": (JSON, json.dumps({"q": UNION.replace("UN", "U\u200bN").replace("SE", "S\u00adE")})),
    "encoded-three-times": (FORM, "q=" + quote(quote(quote(UNION)))),
    "code-units": (FORM, "q=" + SCRIPT.replace("<", "%u003c").replace(" ", "+")),
    "full-width": (FORM, "q=" + quote(SCRIPT.replace("<", "\uff1c").replace(">", "\uff1e"))),
    "null-bytes": (FORM, "q=" + quote(UNION).replace("UN", "U%00N")),
}


@pytest.mark.parametrize(("media_type", "text"), ATTACKS.values(), ids=ATTACKS)
def test_attacks_are_blocked(media_type: MediaType, text: str) -> None:
    findings = REQUESTS.inspect_body(text.encode(), media_type).findings
    assert any(finding.action is Action.BLOCK for finding in findings)


@pytest.mark.parametrize("value", [UNION, quote(UNION), quote(quote(UNION))])
def test_attacks_in_cookies_are_blocked(value: str) -> None:
    headers = Headers(((b"Cookie", f"sid=abc; q={value}".encode()),))
    assert any(finding.action is Action.BLOCK for finding in REQUESTS.inspect_headers(headers).findings)


@pytest.mark.parametrize("times", [1, 2, 3])
def test_attacks_in_urls_are_blocked(times: int) -> None:
    value = UNION
    for _ in range(times):
        value = quote(value)
    findings = REQUESTS.inspect_url(f"/x?q={value}".encode()).findings
    assert any(finding.action is Action.BLOCK for finding in findings)
