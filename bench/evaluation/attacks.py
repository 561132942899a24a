"""Requests that carry one attack each, made from the grammars of the languages attacked.

None is taken from a list: attack_grammars/ says how statements, documents, commands and addresses are put
together, and a fixed seed draws from that.
"""

import json
import random
from collections.abc import Callable, Iterator
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape

from bench.evaluation.case import Case, request
from bench.evaluation.grammar import texts
from icapd.http.headers import Headers

#: Attacks of each family, and for each carrier.
_ATTACKS, _ATTACKS_OF_CARRIER = 150, 200

#: Families: the grammar's file, and the name it begins with.
FAMILIES = {
    "SQL": ("sql", "start"),
    "script (XSS)": ("script", "start"),
    "commands": ("commands", "start"),
    "PHP": ("code", "php"),
    "Node.js": ("code", "node"),
    "Python": ("code", "python"),
    "Ruby and Perl": ("code", "ruby"),
    "Java and expressions": ("code", "java"),
    "JNDI": ("code", "jndi"),
    "templates (SSTI)": ("code", "template"),
    "path traversal": ("files", "traversal"),
    "remote inclusion": ("files", "inclusion"),
    "SSRF": ("files", "ssrf"),
    "uploads of programs": ("files", "upload"),
    "LDAP": ("other", "ldap"),
    "XPath": ("other", "xpath"),
    "NoSQL": ("other", "nosql"),
    "heads (CRLF)": ("other", "head"),
    "session fixation": ("other", "session"),
    "spreadsheets (CSV)": ("other", "csv"),
    "LaTeX": ("other", "latex"),
    "includes (SSI, ESI)": ("other", "ssi"),
    "mail": ("other", "mail"),
    "redirects": ("other", "redirect"),
}
#: The same languages spelled by other habits, by which the rules were made better once.
AGAIN = {
    "SQL, again": ("more", "sql"),
    "script (XSS), again": ("more", "xss"),
    "commands, again": ("more", "shell"),
    "path traversal, again": ("more", "path"),
    "PHP, again": ("more", "php"),
    "templates (SSTI), again": ("more", "ssti"),
    "SSRF, again": ("more", "ssrf"),
    "filters and documents, again": ("more", "filters"),
    "Java and others, again": ("more", "java"),
    "remote inclusion, again": ("more", "rfi"),
}
#: Of grammars written when the rules were done. None is made for what is missed here (two on files).
UNSEEN = {
    "SQL, unseen": ("unseen", "sql"),
    "script (XSS), unseen": ("unseen", "xss"),
    "commands, unseen": ("unseen", "cmd"),
    "files, unseen": ("unseen", "files"),
    "code and filters, unseen": ("unseen", "code"),
}
#: What every carrier is tried with.
_COMMON = ("SQL", "script (XSS)", "commands", "PHP", "JNDI", "templates (SSTI)")
#: What stands in for carriers of which a family's figure is made.
_USUAL = ("query value", "form value", "JSON string", "multipart value")

_FORM = "application/x-www-form-urlencoded"
_JSON = "application/json"
_URL = b"https://shop.example/item"


def cases() -> Iterator[Case]:
    """By family, each attack in one of the usual carriers."""
    for family, (language, start) in (FAMILIES | AGAIN | UNSEEN).items():
        chance = random.Random(family)
        for text in texts(language, start, _ATTACKS, family):
            yield _in(CARRIERS[chance.choice(_USUAL)], family, text)
    for text in texts("xml", "start", _ATTACKS * 2, "xml"):
        yield request("XML (XXE)", "application/xml", text.encode(), harmful=True)


def carrier_cases() -> Iterator[Case]:
    """By carrier, with attacks of the common families."""
    for carrier, carry in CARRIERS.items():
        for family in _COMMON:
            language, start = FAMILIES[family]
            for text in texts(language, start, _ATTACKS_OF_CARRIER // len(_COMMON), carrier):
                if "\n" not in text and "\r" not in text and "\0" not in text:
                    yield _in(carry, f"in a {carrier}", text)


Carrier = Callable[[str, str], Case]


def _in(carry: Carrier, family: str, text: str) -> Case:
    return carry(family, text)


def _query_value(family: str, text: str) -> Case:
    return _get(family, _URL + f"?page=1&q={quote_plus(text)}&n=2".encode())


def _query_name(family: str, text: str) -> Case:
    return _get(family, _URL + f"?page=1&{quote_plus(text)}=2".encode())


def _path(family: str, text: str) -> Case:
    return _get(family, _URL + f"/{quote(text, safe='')}/details".encode())


def _get(family: str, url: bytes, *fields: tuple[bytes, bytes]) -> Case:
    return Case(family, "request", b"GET", url, Headers(fields), b"", harmful=True)


def _form_value(family: str, text: str) -> Case:
    return request(family, _FORM, f"page=1&name={quote_plus(text)}&n=2".encode(), harmful=True)


def _twice_encoded(family: str, text: str) -> Case:
    return request(family, _FORM, f"page=1&name={quote(quote(text, safe=''))}".encode(), harmful=True)


def _json_string(family: str, text: str) -> Case:
    document = {"page": 1, "filter": {"name": text, "tags": ["a", "b"]}}
    return request(family, _JSON, json.dumps(document).encode(), harmful=True)


def _json_key(family: str, text: str) -> Case:
    return request(family, _JSON, json.dumps({"page": 1, text: "x"}).encode(), harmful=True)


def _multipart(family: str, text: str) -> Case:
    head = 'Content-Disposition: form-data; name="comment"'
    body = f"--XyZ\r\n{head}\r\n\r\n{text}\r\n--XyZ--\r\n"
    return request(family, "multipart/form-data; boundary=XyZ", body.encode(), harmful=True)


def _xml_text(family: str, text: str) -> Case:
    body = f'<?xml version="1.0"?><order><name>{escape(text)}</name><n>1</n></order>'
    return request(family, "application/xml", body.encode(), harmful=True)


def _plain(family: str, text: str) -> Case:
    return request(family, "text/plain", text.encode(), harmful=True)


def _user_agent(family: str, text: str) -> Case:
    return _get(family, _URL, (b"User-Agent", f"Mozilla/5.0 {text}".encode()))


def _referer(family: str, text: str) -> Case:
    return _get(family, _URL, (b"Referer", f"https://shop.example/?q={quote_plus(text)}".encode()))


def _cookie(family: str, text: str) -> Case:
    return _get(family, _URL, (b"Cookie", f"theme=dark; id={quote(text)}; lang=en".encode()))


def _own_header(family: str, text: str) -> Case:
    return _get(family, _URL, (b"X-Client-Name", text.encode()))


CARRIERS: dict[str, Carrier] = {
    "query value": _query_value,
    "query name": _query_name,
    "form value": _form_value,
    "form value, encoded twice": _twice_encoded,
    "JSON string": _json_string,
    "JSON key": _json_key,
    "multipart value": _multipart,
    "text of an XML element": _xml_text,
    "plain body": _plain,
    "path": _path,
    "User-Agent": _user_agent,
    "Referer": _referer,
    "Cookie": _cookie,
    "header of its own": _own_header,
}
