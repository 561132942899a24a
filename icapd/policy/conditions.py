"""The conditions of scopes and exceptions: for which messages they hold."""

import fnmatch
import ipaddress
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from icapd.policy.facts import Facts
from icapd.policy.faults import RuleFault

#: Words of one condition. A list that is longer is better a scope of its own, or a group's.
MAX_WORDS = 1000
#: Characters of one word; host names have 253.
MAX_WORD = 512

_METHOD = re.compile(r"[A-Z][A-Z-]*")
_MEDIA_TYPE = re.compile(r"[a-z0-9.+*?-]+/[a-z0-9.+*?-]+")
_HOST = re.compile(r"[a-z0-9.:_*?-]+")

Words = tuple[str, ...] | None


class Conditions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that are given must hold; of the words of one, any.

    `*` stands for any characters and `?` for one; a host that begins with a dot is a domain with all that is
    in it, as in Squid's dstdomain.
    """

    direction: Literal["request", "response", "both"] = "both"
    #: Networks or addresses.
    clients: Words = None
    users: Words = None
    groups: Words = None
    hosts: Words = None
    paths: Words = None
    methods: Words = None
    media_types: Words = None


#: By key, in the order in which they are asked: the fact that each is about.
FACT_OF = {
    "direction": "direction",
    "clients": "client",
    "users": "user",
    "groups": "groups",
    "hosts": "host",
    "paths": "path",
    "methods": "method",
    "media_types": "media_type",
}


@dataclass(frozen=True, slots=True)
class Condition:
    """One of them, ready to be asked."""

    key: str
    words: tuple[str, ...]
    holds: Callable[[Facts], bool]

    @property
    def fact(self) -> str:
        """The attribute of Facts that it is about."""
        return FACT_OF[self.key]

    def covers(self, other: "Condition") -> bool:
        """Whether every message that meets the other one meets this one."""
        return all(any(_covers(self.key, word, narrow) for word in self.words) for narrow in other.words)


def conditions_of(table: Conditions) -> tuple[Condition, ...]:
    """The conditions that a table has. RuleFault for a word that can't be one."""
    return tuple(_conditions_of(table))


def first_unmet(conditions: Sequence[Condition], facts: Facts) -> Condition | None:
    """The first that does not hold; None when all do."""
    for condition in conditions:
        if not condition.holds(facts):
            return condition
    return None


def shadows(earlier: Sequence[Condition], later: Sequence[Condition]) -> bool:
    """Whether every message that meets the later conditions meets the earlier ones as well."""
    by_key = {condition.key: condition for condition in later}
    return all(condition.key in by_key and condition.covers(by_key[condition.key]) for condition in earlier)


def _conditions_of(table: Conditions) -> Iterator[Condition]:
    if table.direction != "both":
        direction = table.direction
        yield Condition("direction", (direction,), lambda facts: facts.direction == direction)
    for key in FACT_OF:
        words: Words = getattr(table, key) if key != "direction" else None
        if words is None:
            continue
        if not words:
            raise RuleFault(key, "is empty and would never hold; name something or leave it out")
        if len(words) > MAX_WORDS:
            raise RuleFault(key, f"has {len(words)} words; the most are {MAX_WORDS}")
        for word in words:
            if not word or len(word) > MAX_WORD:
                raise RuleFault(key, f"has a word of {len(word)} characters; write 1 to {MAX_WORD}")
        yield _condition(key, words)


def _condition(key: str, words: tuple[str, ...]) -> Condition:
    if key == "clients":
        networks = tuple(map(_network, words))
        return Condition(key, words, lambda facts: _is_within(facts.client, networks))
    words = tuple(_normal(key, word) for word in words)
    meets = _test(key, words)
    if key == "groups":
        return Condition(key, words, lambda facts: any(map(meets, facts.groups)))
    fact = FACT_OF[key]
    return Condition(key, words, lambda facts: meets(getattr(facts, fact)))


def _normal(key: str, word: str) -> str:
    """A word as facts are written."""
    match key:
        case "users" | "groups":
            return word.casefold()
        case "hosts":
            word = word.lower().rstrip(".")
            if not _HOST.fullmatch(word):
                raise RuleFault(key, f'"{word}" is no host: write example.com, .example.com or *.example.com')
        case "paths":
            if word[0] not in "/*?":
                raise RuleFault(key, f'"{word}" never matches: paths begin with "/"')
        case "methods":
            if not _METHOD.fullmatch(word):
                raise RuleFault(key, f'"{word}" is no method: write it in capitals, such as POST')
        case "media_types":
            word = word.lower()
            if not _MEDIA_TYPE.fullmatch(word):
                raise RuleFault(key, f'"{word}" is no media type: write text/html or text/*')
    return word


def _test(key: str, words: Sequence[str]) -> Callable[[str], bool]:
    """Whether a fact is one of the words."""
    exact = frozenset(word.removeprefix(".") if key == "hosts" else word for word in words)
    suffixes = tuple(word for word in words if key == "hosts" and word.startswith("."))
    patterns = tuple(glob(word) for word in words if "*" in word or "?" in word)

    def meets(fact: str) -> bool:
        if not fact:
            return False
        return fact in exact or fact.endswith(suffixes) or any(pattern.match(fact) for pattern in patterns)

    return meets


def glob(word: str) -> re.Pattern[str]:
    """A word with `*` and `?` as an expression for whole facts; its time is linear in the fact's length."""
    # In fnmatch's own words "[" would begin a set.
    return re.compile(fnmatch.translate(word.replace("[", "[[]")))


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _network(word: str) -> Network:
    try:
        return ipaddress.ip_network(word)
    except ValueError:
        try:
            meant = ipaddress.ip_network(word, strict=False)
        except ValueError:
            raise RuleFault("clients", f'"{word}" is no network: write 192.0.2.0/24 or 192.0.2.7') from None
        raise RuleFault("clients", f'"{word}" is an address within a network; write {meant}') from None


def _is_within(client: str, networks: Sequence[Network]) -> bool:
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return False
    return any(address in network for network in networks)


def _covers(key: str, broad: str, narrow: str) -> bool:
    """Whether the one word stands for all that the other does; False as well where that is hard to say."""
    if broad == narrow:
        return True
    if key == "clients":
        one, other = ipaddress.ip_network(broad), ipaddress.ip_network(narrow)
        return one.version == other.version and other.subnet_of(one)  # type: ignore[arg-type]
    if key == "hosts" and narrow.startswith(".") and not broad.startswith("."):
        return False
    meets = _test(key, (broad,))
    # What a `*` stands for may be nothing, or longer than any number of `?`.
    return all(meets(narrow.replace("*", filling).replace("?", "\0")) for filling in ("", "\0" * MAX_WORD))
