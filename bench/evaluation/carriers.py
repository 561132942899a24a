"""What a text can travel in."""

import json
from collections.abc import Callable
from html import escape
from urllib.parse import quote, quote_plus

from bench.evaluation.case import Case, request, response

Carry = Callable[[str, str, str], Case]


def _text(family: str, text: str, secret: str) -> Case:
    return response(family, "text/plain", text.encode(), secret.encode())


def _json(family: str, text: str, secret: str) -> Case:
    body = json.dumps({"id": 7, "tags": ["a"], "content": text, "done": True})
    return response(family, "application/json", body.encode(), secret.encode())


def _escaped_json(family: str, text: str, secret: str) -> Case:
    """Every third character as \\uXXXX."""
    spelled = "".join(f"\\u{ord(c):04x}" if i % 3 == 0 or c in '"\\\n' else c for i, c in enumerate(text))
    return response(family, "application/json", f'{{"content": "{spelled}"}}'.encode(), secret.encode())


def _json_in_json(family: str, text: str, secret: str) -> Case:
    result = {"result": {"content": [{"type": "text", "text": json.dumps({"content": f"first\n{text}"})}]}}
    return response(family, "application/json", json.dumps(result).encode(), secret.encode())


def _html(family: str, text: str, secret: str) -> Case:
    body = f"<html><body><h1>Notes</h1><pre>{escape(text)}</pre></body></html>"
    return response(family, "text/html", body.encode(), secret.encode())


def _form(family: str, text: str, secret: str) -> Case:
    body = f"id=7&content={quote_plus(text)}&done=on"
    return request(family, "application/x-www-form-urlencoded", body.encode(), secret.encode())


def _event_stream(family: str, text: str, secret: str) -> Case:
    events = "".join(f"data: {json.dumps({'delta': part})}\n\n" for part in ("Hello", text, "Bye"))
    return response(family, "text/event-stream", events.encode(), secret.encode())


def _request_json(family: str, text: str, secret: str) -> Case:
    body = json.dumps({"model": "large", "messages": [{"role": "user", "content": f"What is this?\n{text}"}]})
    return request(family, "application/json", body.encode(), secret.encode())


def _repeated(family: str, text: str, secret: str) -> Case:
    """Once in its surroundings, and twice more without any."""
    body = json.dumps({"content": text, "log": f"retry with {secret}", "escaped": escape(f'<"{secret}">')})
    return response(family, "application/json", body.encode(), secret.encode())


def _url(family: str, text: str, secret: str) -> Case:
    url = f"https://search.example/find?lang=en&q={quote(text.strip())}"
    return request(family, "", b"", secret.encode(), method=b"GET", url=url.encode())


CARRIERS: dict[str, Carry] = {
    "text": _text,
    "JSON": _json,
    "JSON with escapes": _escaped_json,
    "JSON in JSON": _json_in_json,
    "HTML": _html,
    "a form": _form,
    "an event stream": _event_stream,
    "a request's JSON": _request_json,
    "JSON, repeated": _repeated,
    "a URL": _url,
}
