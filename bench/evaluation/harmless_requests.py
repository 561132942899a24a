"""Requests of people and programs at work: nothing in them may be blocked.

They are made from a fixed seed, of phrases that are written to look like attacks (phrases.toml) and of pieces
of the Python packages that are installed here: code, documents and templates, whole or by the line.
"""

import json
import random
import sysconfig
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from difflib import unified_diff
from pathlib import Path
from urllib.parse import quote, quote_plus, urlencode
from xml.sax.saxutils import escape

from bench.evaluation import phrases
from bench.evaluation.case import Case
from bench.evaluation.draw import BASE64, Draw
from bench.evaluation.files import files_under
from icapd.http.headers import Headers

#: Requests of each family.
_REQUESTS = 60
#: Bytes of a file that are read.
_MAX_SIZE = 64 * 1024
#: Files that are read, and the endings of those with text that people write.
_FILES, _PROSE_ENDINGS = 400, (".md", ".rst", ".txt", "")
_ENDINGS = frozenset(
    (
        ".c .cfg .css .go .h .html .java .js .json .md .mjs .php .pl .pm .po .py .pyi .rb .rs .rst .sh .sql "
        ".toml .ts .tsx .txt .vue .xml .yaml .yml"
    ).split()
)

#: URL, headers and body.
Made = tuple[str, dict[str, str], str]
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Sources:
    """Draws pieces of files."""

    def __init__(self, draw: Draw, texts: list[str], prose: list[str]) -> None:
        self.draw, self.chance = draw, draw.chance
        self._texts, self._prose = texts, prose

    def block(self, lines: int = 30) -> str:
        """Lines that stand together in a file."""
        text = self.chance.choice(self._texts).splitlines()
        start = self.chance.randrange(max(1, len(text) - lines))
        return "\n".join(text[start : start + self.chance.randint(4, lines)])

    def piece(self) -> str:
        """One to three lines of a file, with something in them."""
        for _ in range(20):
            lines = [line for line in self.chance.choice(self._texts).splitlines() if len(line.strip()) > 8]
            if lines:
                start = self.chance.randrange(len(lines))
                return "\n".join(lines[start : start + self.chance.randint(1, 3)])[:500]
        return "pass"

    def prose(self) -> str:
        """A phrase, or a line or two of a document."""
        if self.chance.random() < 0.5:
            return self.chance.choice(phrases.PROSE)
        lines = [line.strip() for line in self.chance.choice(self._prose).splitlines() if len(line) > 30]
        start = self.chance.randrange(max(1, len(lines)))
        return " ".join(lines[start : start + self.chance.randint(1, 4)]) or "None"

    def one_of(self, texts: tuple[str, ...]) -> str:
        return self.chance.choice(texts)


def cases() -> Iterator[Case]:
    """The same in every run with the same packages installed."""
    roots = (Path(sysconfig.get_path("purelib")), Path(sysconfig.get_path("stdlib")))
    yield from cases_from(path for root in roots for path in files_under(root))


def cases_from(paths: Iterable[Path]) -> Iterator[Case]:
    """Requests with pieces of these files."""
    usable = [path for path in paths if path.suffix in _ENDINGS and path.stat().st_size > 200]
    chosen = random.Random("files").sample(usable, min(_FILES, len(usable)))
    texts = [_read(path) for path in chosen]
    documents = [path for path in usable if path.suffix in _PROSE_ENDINGS]
    prose = [_read(path) for path in random.Random("prose").sample(documents, min(_FILES, len(documents)))]
    for family, make in MAKERS.items():
        sources = Sources(Draw(random.Random(family)), texts, prose)
        for _ in range(_REQUESTS):
            url, headers, body = make(sources)
            fields = {"User-Agent": sources.one_of(phrases.USER_AGENTS), **headers}
            yield Case(
                family,
                "request",
                b"POST" if body else b"GET",
                url.encode(),
                Headers(tuple((name.encode(), value.encode()) for name, value in fields.items())),
                body.encode("utf-8", "replace"),
            )


def _read(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_MAX_SIZE).decode("utf-8", "replace")


def _json(document: object) -> Made:
    return "https://api.example/v1/items", JSON, json.dumps(document)


def _chat(s: Sources) -> Made:
    messages = [
        {"role": "system", "content": "You are a helpful assistant. " + s.prose()},
        {"role": "user", "content": f"{s.prose()}\n```\n{s.block()}\n```\n{s.prose()}"},
        {"role": "assistant", "content": s.prose()},
        {"role": "user", "content": [{"type": "text", "text": s.prose()}]},
    ]
    return _json({"model": "m-1", "messages": messages, "temperature": 0.2, "stop": ["\n\n", "```"]})


def _tool_calls(s: Sources) -> Made:
    arguments = [
        {"command": s.one_of(phrases.COMMANDS), "description": s.prose()},
        {
            "file_path": f"/home/bob/src/{s.draw.words(1)}.py",
            "old_string": s.piece(),
            "new_string": s.piece(),
        },
        {"pattern": s.prose(), "path": "../src"},
    ]
    calls = [
        {"id": s.draw.hex(12), "type": "function", "function": {"name": "run", "arguments": json.dumps(call)}}
        for call in arguments
    ]
    results = [{"role": "tool", "tool_call_id": s.draw.hex(12), "content": s.block()} for _ in calls]
    return _json({"model": "m-1", "messages": [{"role": "assistant", "tool_calls": calls}, *results]})


def _mcp(s: Sources) -> Made:
    arguments = s.chance.choice(
        [
            {"command": s.one_of(phrases.COMMANDS)},
            {"sql": s.one_of(phrases.STATEMENTS)},
            {"path": "/srv/app/src/main.py", "edits": [{"oldText": s.piece(), "newText": s.piece()}]},
            {"url": s.one_of(phrases.ADDRESSES), "max_length": 5000},
            {"content": s.block(), "path": "docs/a.md"},
            {"query": s.prose(), "code": s.piece()},
        ]
    )
    params = {"name": s.draw.words(1), "arguments": arguments}
    return _json({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})


def _graphql(s: Sources) -> Made:
    query = (
        "query Q($id: ID!, $n: Int = 10) { node(id: $id) { ... on User { name posts(first: $n, "
        f'orderBy: {{field: CREATED, direction: DESC}}, search: "{s.draw.words(2)}") '
        "{ edges { node { id } } } } } }"
    )
    mutation = "mutation($input: AddCommentInput!) { addComment(input: $input) { clientMutationId } }"
    variables = {"id": s.draw.uuid(), "input": {"subjectId": s.draw.hex(8), "body": s.prose()}}
    return _json({"query": s.chance.choice([query, mutation]), "variables": variables, "operationName": None})


def _form(s: Sources) -> Made:
    fields = {
        "name": s.one_of(("Sinéad O'Connor", "d'Artagnan", "Smith & Co.", "Bob")),
        "email": "o'hara@example.org",
        "subject": s.prose()[:80],
        "message": s.prose(),
        "csrf_token": s.draw.of(BASE64, 44),
        "next": s.one_of(phrases.ADDRESSES),
    }
    return "https://www.example.org/contact", FORM, urlencode(fields)


def _editor(s: Sources) -> Made:
    html = "".join(s.one_of(phrases.MARKUP) for _ in range(s.chance.randint(1, 5)))
    if s.chance.random() < 0.5:
        return _json({"title": s.prose(), "content": html, "status": "draft"})
    return "https://cms.example/post", FORM, urlencode({"title": s.prose(), "body": html, "id": "5"})


def _search(s: Sources) -> Made:
    quoted = s.chance.choice([quote, quote_plus])(s.prose()[:120])
    return f"https://www.example.org/search?q={quoted}&page=1&sort=-date", _page_headers(s), ""


def _redirect(s: Sources) -> Made:
    names = s.chance.choice(["url", "next", "redirect_uri", "u", "return_to", "href"])
    return (
        f"https://app.example/go?{names}={quote(s.one_of(phrases.ADDRESSES), safe='')}&s=1",
        _page_headers(s),
        "",
    )


def _page_headers(s: Sources) -> dict[str, str]:
    return {
        "Referer": f"https://www.example.org/list?q={quote_plus(s.prose()[:60])}&page=2",
        "Cookie": s.one_of(phrases.COOKIES),
        "X-Forwarded-For": "203.0.113.7, 10.0.0.1",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "www.example.org",
        "Via": "1.1 proxy.example (squid/5.7)",
        "Accept": "text/html,application/xhtml+xml,*/*;q=0.8",
        "If-None-Match": f'W/"{s.draw.hex(20)}--gzip"',
    }


def _upload(s: Sources) -> Made:
    name = s.chance.choice(["report.md", "main.py", "notes.txt", "query.sql", "page.html", "it's.txt"])
    parts = [
        ('form-data; name="description"', s.prose()),
        (f'form-data; name="file"; filename="{name}"', s.block(80)),
        ('form-data; name="path"', s.one_of(("docs/a.md", "../shared/x.txt", "C:\\a\\b.txt"))),
    ]
    body = "".join(f"--XyZ\r\nContent-Disposition: {head}\r\n\r\n{text}\r\n" for head, text in parts)
    return (
        "https://files.example/upload",
        {"Content-Type": "multipart/form-data; boundary=XyZ"},
        f"{body}--XyZ--\r\n",
    )


def _logs(s: Sources) -> Made:
    records = [
        {
            "ts": s.draw.timestamp(),
            "level": "error",
            "msg": s.prose(),
            "caller": "main.go:42",
            "stack": s.block(),
            "sql": s.one_of(phrases.STATEMENTS),
            "path": s.one_of(phrases.ADDRESSES),
            "user_agent": s.one_of(phrases.USER_AGENTS),
        }
        for _ in range(4)
    ]
    return _json({"streams": records, "source": "it's app-1"})


def _log_lines(s: Sources) -> Made:
    lines = [
        f"203.0.113.{s.chance.randrange(255)} - - [01/Jan/2026:10:00:00 +0000] "
        f'"GET /a?q={quote_plus(s.prose()[:50])} HTTP/1.1" 200 {s.draw.digits(4)} "-" '
        f'"{s.one_of(phrases.USER_AGENTS)}"'
        for _ in range(s.chance.randint(1, 6))
    ]
    return "https://logs.example/ingest", {"Content-Type": "text/plain"}, "\n".join(lines)


def _plain(s: Sources) -> Made:
    text = s.chance.choice([s.prose, s.block, s.piece])()
    return "https://paste.example/", {"Content-Type": "text/plain; charset=utf-8"}, text


def _base64(s: Sources) -> Made:
    blob = b64encode(s.block().encode()).decode()
    return _json({"content": blob, "sha": s.draw.hex(40), "sig": s.draw.of(BASE64, 88), "message": s.prose()})


def _template(s: Sources) -> Made:
    texts = [s.one_of(phrases.TEMPLATES) for _ in range(3)]
    return _json({"subject": texts[0], "html": f"<p>{texts[1]}</p>", "text": texts[2], "name": s.prose()})


def _review(s: Sources) -> Made:
    before = s.block(20).splitlines(keepends=True)
    after = [line for line in before if s.chance.random() > 0.2]
    hunk = "".join(unified_diff(before, after, "a/x", "b/x"))
    comment = {"path": "src/x", "line": 5, "diff_hunk": hunk, "body": s.prose()}
    suggestion = {"path": "src/x", "line": 7, "body": f"```suggestion\n{s.piece()}\n```"}
    return _json({"event": "COMMENT", "body": s.prose(), "comments": [comment, suggestion]})


def _issue(s: Sources) -> Made:
    steps = f"1. {s.prose()}\n2. `{s.one_of(phrases.COMMANDS)}`"
    body = f"## Steps\n\n{steps}\n\n```sh\n{s.block(12)}\n```\n\n> {s.prose()}\n"
    return _json(
        {"title": s.prose()[:100], "body": body, "labels": ["bug", "it's"], "commit_message": s.prose()}
    )


def _statement(s: Sources) -> Made:
    return _json({"statement": s.one_of(phrases.STATEMENTS), "args": [1, s.prose()], "db": "app"})


def _filters(s: Sources) -> Made:
    if s.chance.random() < 0.5:
        filters = [
            "name eq 'Milk' or price lt 2.55",
            "contains(name,'a') and id gt 5",
            "a=1&b=2",
            "id in (1,2,3)",
        ]
        return (
            f"https://api.example/items?$filter={quote(s.chance.choice(filters))}&$top=5&sort[name]=asc",
            {},
            "",
        )
    clause = {"age": {"$gt": 21}, "status": {"$in": ["a", "b"]}, "name": {"$regex": "^bob", "$options": "i"}}
    match = {"multi_match": {"query": s.prose(), "fields": ["title^3", "body.*"]}}
    return _json(
        {"filter": clause, "query": {"bool": {"must": [match], "filter": [{"range": {"x": {"gte": 1}}}]}}}
    )


def _form_code(s: Sources) -> Made:
    """Code by the line in a form: a paste bin, an exercise, an administrator's page."""
    return (
        "https://paste.example/",
        FORM,
        urlencode({"code": s.block(40), "lang": "text", "title": s.prose()}),
    )


def _xml(text: str, media_type: str) -> Made:
    return "https://xml.example/service", {"Content-Type": media_type}, text


def _xhtml(s: Sources) -> Made:
    return _xml(
        '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" '
        '"http://www.w3.org/TR/xhtml1/DTD/xhtml1-strict.dtd">\n<html xmlns="http://www.w3.org/1999/xhtml"><head>'
        '<script type="text/javascript" src="/a.js"></script></head><body onload="start()">'
        f"{s.one_of(phrases.MARKUP)}<p>{escape(s.prose())}</p><pre>{escape(s.block())}</pre></body></html>",
        "application/xhtml+xml",
    )


def _plist(s: Sources) -> Made:
    return _xml(
        '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" '
        '"http://www.apple.com/DTDs/PropertyList-1.0.dtd">\n<plist version="1.0"><dict>'
        f"<key>Name</key><string>{escape(s.prose())}</string><key>Path</key><string>/usr/bin/python3</string></dict></plist>",
        "application/xml",
    )


def _svg(s: Sources) -> Made:
    return _xml(
        '<?xml version="1.0"?><!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" '
        '"http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">\n<svg xmlns="http://www.w3.org/2000/svg" '
        'xmlns:xlink="http://www.w3.org/1999/xlink"><style>.a{fill:url(#b)}</style><use xlink:href="#c"/>'
        f"<text>{escape(s.prose())}</text></svg>",
        "image/svg+xml",
    )


def _soap(s: Sources) -> Made:
    return _xml(
        '<?xml version="1.0"?><soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body>'
        f"<m:Find><m:Query>{escape(s.prose())}</m:Query><m:Code><![CDATA[{s.piece()}]]></m:Code></m:Find></soap:Body></soap:Envelope>",
        "text/xml",
    )


def _page(s: Sources) -> Made:
    path = s.chance.choice(
        [
            "a/b.html",
            "static/js/app.3f2a.js",
            "wiki/O'Reilly",
            "docs/select-from-where",
            "x/../y",
            "C++_(language)",
            "~bob/",
        ]
    )
    return f"https://www.example.org/{path}?v=1.2.3&t={s.draw.digits(10)}", _page_headers(s), ""


#: What makes one request of each family.
MAKERS: dict[str, Callable[[Sources], Made]] = {
    "LLM chats": _chat,
    "LLM tool calls": _tool_calls,
    "MCP calls": _mcp,
    "GraphQL requests": _graphql,
    "forms": _form,
    "code in forms": _form_code,
    "rich text": _editor,
    "searches": _search,
    "addresses in parameters": _redirect,
    "pages": _page,
    "uploads": _upload,
    "JSON logs": _logs,
    "log lines": _log_lines,
    "plain texts": _plain,
    "base64 in JSON": _base64,
    "templates": _template,
    "reviews": _review,
    "issues": _issue,
    "statements": _statement,
    "filters": _filters,
    "XHTML": _xhtml,
    "plist": _plist,
    "SVG requests": _svg,
    "SOAP": _soap,
}
