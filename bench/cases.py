"""The messages: deterministic bodies like those of APIs and web sites, clean or with five findings."""

import json
import random
from dataclasses import dataclass, field

KB = 1024
#: Each message by its label: bytes of its body, about.
SIZES = {"1 KB": KB, "16 KB": 16 * KB, "100 KB": 100 * KB, "1 MB": KB * KB}
FINDINGS = 5
MEDIA_TYPES = {
    "JSON": "application/json; charset=utf-8",
    "HTML": "text/html; charset=utf-8",
    "JS": "application/javascript",
}

#: What a browser sends, less what would make each client's requests different.
REQUEST = (
    b"GET https://api.example.com/v1/items?page=3&limit=50 HTTP/1.1\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
    b"Accept: application/json\r\nAccept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate\r\n"
    b"Referer: https://app.example.com/items\r\nCookie: theme=dark; lang=en\r\nHost: api.example.com\r\n\r\n"
)

_WORDS = (
    "account address amount archive balance branch budget calendar category channel city client "
    "colour comment company contract country currency customer delivery department detail discount "
    "document estimate event factory feature folder garden group history image invoice island "
    "journey journal language letter library location manager market measure member message meeting "
    "minute model month morning number office order owner package partner payment person picture "
    "planet platform policy position product profile project quarter question range reason region "
    "report result review river season section service shipment station status street summer "
    "supplier teacher ticket title total travel update vehicle version village visitor weather "
    "weekend window winter"
).split()


@dataclass(frozen=True)
class Case:
    """One message, and what a server that inspects has to make of it."""

    name: str
    method: str
    #: Head of the response; empty for a request, which is always the same one.
    head: bytes = b""
    body: bytes = field(default=b"", repr=False)
    #: What must not pass.
    secrets: tuple[bytes, ...] = field(default=(), repr=False)
    #: Whether Squid would offer a preview; without one the body comes whole, and 204 is allowed.
    with_preview: bool = True

    @property
    def is_clean(self) -> bool:
        return not self.secrets


def all_cases() -> list[Case]:
    """Every message of the full run, small ones first."""
    cases = [Case("GET", "REQMOD")]
    for size_name, size in SIZES.items():
        for kind in MEDIA_TYPES:
            cases.append(response_case(kind, size_name, size))
            cases.append(response_case(kind, size_name, size, findings=FINDINGS))
    return [*cases, response_case("JSON", "16 KB", SIZES["16 KB"], with_preview=False)]


#: Of the quick run.
QUICK = ("GET", "1 KB JSON", "16 KB JSON", "16 KB JSON, 5 findings", "100 KB JSON")


def response_case(
    kind: str, size_name: str, size: int, findings: int = 0, *, with_preview: bool = True
) -> Case:
    """A response of that kind; its name tells everything about it."""
    secrets = [access_key(number) for number in range(findings)]
    # A name that both icapd's credentials and the guide's patterns know.
    notes = [f"api_key = '{secret}'" for secret in secrets]
    body = _MAKERS[kind](size, notes).encode()
    head = (
        f"HTTP/1.1 200 OK\r\nDate: Mon, 23 Nov 2026 12:00:00 GMT\r\nServer: nginx\r\nContent-Type: "
        f"{MEDIA_TYPES[kind]}\r\nContent-Length: {len(body)}\r\nCache-Control: max-age=60\r\n"
        f'ETag: "5f-1234"\r\nVary: Accept-Encoding\r\n\r\n'
    ).encode()
    name = f"{size_name} {kind}" + (f", {findings} findings" if findings else "")
    return Case(
        name + ("" if with_preview else ", no preview"),
        "RESPMOD",
        head,
        body,
        tuple(secret.encode() for secret in secrets),
        with_preview,
    )


def access_key(number: int) -> str:
    """Looks like an AWS access key id; always the same one for a number."""
    return "AKIA" + "".join(random.Random(number).choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", k=16))


def _sentence(rng: random.Random, words: int) -> str:
    return " ".join(rng.choices(_WORDS, k=words)).capitalize() + "."


def _place(pieces: list[str], notes: list[str]) -> list[str]:
    """The pieces with the notes spread among them, the first near the start and the last near the end."""
    for number, note in enumerate(notes):
        pieces.insert(round((number + 0.5) * len(pieces) / len(notes)), note)
    return pieces


def _json(size: int, notes: list[str]) -> str:
    """A list of an API's items, indented by nothing."""
    rng = random.Random(size)
    pieces: list[str] = []
    length = 0
    while length < size - 200:
        item = {
            "id": len(pieces) + 1,
            "name": f"{rng.choice(_WORDS)} {rng.choice(_WORDS)}",
            "description": _sentence(rng, 8),
            "price": round(rng.uniform(1, 999), 2),
            "tags": rng.sample(_WORDS, 3),
            "available": rng.random() < 0.5,
            "created": f"2026-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}T08:30:00Z",
        }
        pieces.append(json.dumps(item))
        length += len(pieces[-1]) + 2
    placed = _place(pieces, [json.dumps({"note": note}) for note in notes])
    return f'{{"total": {len(placed)}, "items": [{", ".join(placed)}]}}'


def _html(size: int, notes: list[str]) -> str:
    """A page: a head, and sections of paragraphs and lists with links and classes."""
    rng = random.Random(size)
    pieces: list[str] = []
    length = 0
    while length < size - 400:
        number = len(pieces)
        links = "".join(
            f'<li><a class="link" href="/{rng.choice(_WORDS)}/{rng.randint(1, 999)}">{rng.choice(_WORDS)}</a>'
            "</li>"
            for _ in range(3)
        )
        pieces.append(
            f'<section id="part-{number}" class="card wide"><h2>{_sentence(rng, 3)}</h2>'
            f"<p>{_sentence(rng, 12)}</p><ul>{links}</ul></section>\n"
        )
        length += len(pieces[-1])
    placed = _place(pieces, [f"<p>{note}</p>\n" for note in notes])
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>A page</title>'
        '<link rel="stylesheet" href="/style.css"></head>\n<body><main>\n'
        + "".join(placed)
        + "</main></body></html>"
    )


def _javascript(size: int, notes: list[str]) -> str:
    """A bundle as minifiers leave it: one line, short names, no blanks."""
    rng = random.Random(size)
    names = [a + b for a in "abcdefghijklmnopqrstuvwxyz" for b in "etnriao"]
    pieces: list[str] = []
    length = 0
    while length < size - 150:
        f, g, x, y = rng.sample(names, 4)
        word = rng.choice(_WORDS)
        pieces.append(
            rng.choice(
                (
                    f'function {f}({x},{y}){{return {x}&&{x}.{word}?{g}({x}.{word},{y}):{y}||"{word}"}}',
                    f"var {f}={{{word}:{rng.randint(0, 9999)},{g}:function({x}){{this.{word}=!0}}}};",
                    f"for(var {x}=0;{x}<{y};{x}++){g}[{x}]=null==({f}[{x}])?void 0:{f}[{x}].{word};",
                )
            )
        )
        length += len(pieces[-1])
    placed = _place(pieces, [f'var n="{note}";' for note in notes])
    return "!function(){" + "".join(placed) + "}();"


_MAKERS = {"JSON": _json, "HTML": _html, "JS": _javascript}
