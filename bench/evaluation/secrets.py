"""Messages that carry one secret each: the best-known kinds, the long tail of services, and private keys.

Tokens are drawn by the form that their vendor publishes (kinds.txt), or by what services commonly hand out,
with a fixed seed. Each stands in its surroundings, and these in every carrier.
"""

import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from bench.evaluation.carriers import CARRIERS, Carry
from bench.evaluation.case import Case
from bench.evaluation.draw import (
    BASE32,
    BASE36,
    BASE58,
    BASE62,
    BASE64,
    BASE64URL,
    DIGITS,
    HEX,
    UPPER36,
    UPPER_HEX,
    Draw,
)
from bench.evaluation.keys import KEYS
from bench.evaluation.services import SERVICES
from bench.evaluation.settings import ANY, NAMED, NEAR

HERE = Path(__file__).parent

_ALPHABETS = {
    "h": HEX,
    "H": UPPER_HEX,
    "d": DIGITS,
    "a": BASE36,
    "A": UPPER36,
    "b": BASE62,
    "B": BASE64,
    "u": BASE64URL,
    "l": "abcdefghijklmnopqrstuvwxyz",
    "letters": BASE62[:52],
    "2": BASE32,
    "k": BASE58,
    "bech": "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L",
}
_DRAWN = re.compile(r"\{(?:(?P<uuid>uuid)|(?P<alphabet>2|bech|letters|[A-Za-z])(?P<length>\d+))\}")

#: What services without a mark of their own hand out.
_PLAIN_FORMS = (
    "{h32}",
    "{h40}",
    "{h64}",
    "{h24}",
    "{uuid}",
    "{b20}",
    "{b24}",
    "{b32}",
    "{b40}",
    "{b64}",
    "{A32}",
    "{a32}",
    "{a40}",
    "{B43}=",
    "{u43}",
    "{u32}",
    "{b16}",
    "{a20}",
    "{b10}-{b10}-{b10}",
    "{b8}.{b32}",
)
#: A URL has fields, in which a name alone is that of the service asked.
_FOR_LINES = {name: carry for name, carry in CARRIERS.items() if name != "a URL"}
#: A key fits no URL, and a part of a file means nothing elsewhere.
_FOR_FILES = {name: carry for name, carry in CARRIERS.items() if name not in ("JSON, repeated", "a URL")}
#: Services that no list knows.
_INVENTED = 300


def cases() -> Iterator[Case]:
    """The same in every run."""
    yield from _carried("known kinds", _known_kinds)
    yield from _carried("services by name and key", lambda: _services(SERVICES, NAMED))
    yield from _carried("services by name alone", lambda: _services(SERVICES, NEAR), _FOR_LINES)
    yield from _carried("services unheard of", lambda: _services(_invented(), NAMED))
    yield from _carried("private keys", lambda: iter(KEYS), _FOR_FILES)


def _carried(
    family: str, texts: Callable[[], Iterator[tuple[str, str]]], carriers: Mapping[str, Carry] = CARRIERS
) -> Iterator[Case]:
    for carrier, carry in carriers.items():
        for text, secret in texts():
            yield carry(f"{family} in {carrier}", text, secret)


def _known_kinds() -> Iterator[tuple[str, str]]:
    """Each kind in its own surroundings, or, when its form says enough, in some of all that there are."""
    for line in (HERE / "kinds.txt").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        name, form, before = (part.strip() for part in line.split("|"))
        draw = Draw(random.Random(name))
        secret = drawn(form, draw)
        if before:
            blank = " " if before[-1].isalnum() else ""
            behind = "@db.example/shop" if before.endswith(":") and "://" in before else ""
            text = f"# settings\n{before}{blank}{secret}{behind}\n"
        else:
            text = draw.chance.choice(ANY).format(secret=secret)
        yield text, secret


def _services(names: Sequence[str], forms: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for name in names:
        draw = Draw(random.Random(name))
        secret = drawn(draw.chance.choice(_PLAIN_FORMS), draw)
        form = draw.chance.choice(forms)
        yield (
            form.format(
                name=name,
                Name=name.title().replace(" ", ""),
                NAME=name.upper(),
                secret=secret,
                words=draw.words(3),
            ),
            secret,
        )


def _invented() -> list[str]:
    chance = random.Random("invented")
    syllables = "ba ce di fo gu la me ni ro tu va xe zi quo dra fle gri klo pra sto".split()
    return ["".join(chance.choices(syllables, k=3)) for _ in range(_INVENTED)]


def drawn(form: str, draw: Draw) -> str:
    """A token of the form: see kinds.txt."""

    def piece(match: re.Match[str]) -> str:
        if match["uuid"]:
            return draw.uuid()
        return draw.of(_ALPHABETS[match["alphabet"]], int(match["length"]))

    return _DRAWN.sub(piece, form)
