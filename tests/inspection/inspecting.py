"""What the tests of the inspection share: policies of their own, streams in pieces."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from hypothesis import strategies as st
from support.policies import UNHURRIED

from icapd.errors import OutOfPatience
from icapd.http.media_types import MediaType
from icapd.inspection import BodyStream, Finding, Fingerprinter, Inspector
from icapd.policy import Action, Policy, load_policy

JSON = MediaType("application/json")
FORM = MediaType("application/x-www-form-urlencoded")
EVENTS = MediaType("text/event-stream")
HTML = MediaType("text/html")
PLAIN = MediaType("application/graphql")

RULE = """
[[rule]]
id = "test.{name}"
description = "A rule of a test"
targets = {targets}
pattern = '''{pattern}'''
action = "{action}"
severity = "low"
match = ['''{match}''']
{more}
"""


def rule(
    name: str,
    pattern: str,
    match: str,
    targets: Sequence[str] = ("body",),
    action: str = "redact",
    more: str = "",
) -> str:
    """A rule table; `more` are further lines of TOML."""
    return RULE.format(
        name=name, pattern=pattern, match=match, targets=list(targets), action=action, more=more
    )


def policy(directory: Path, *rules: str, pack: str = "") -> Policy:
    """The policy of one pack, `test`, of these rules; `pack` is its [pack] table."""
    (directory / "test.toml").write_text(pack + "".join(rules), encoding="utf-8")
    return load_policy(directory, packs=["test"])


def inspector(rules: Policy, **limits: float) -> Inspector:
    """For responses, with a fixed key, and with time enough unless that is limited."""
    given = replace(UNHURRIED, **limits)  # type: ignore[arg-type]
    return Inspector(rules.response, Fingerprinter(b"key"), given)


def through(stream: BodyStream, pieces: Iterable[bytes]) -> bytes:
    return b"".join(map(stream.feed, pieces)) + stream.finish()


def bytewise(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


def places(findings: Iterable[Finding]) -> list[tuple[str, int, int]]:
    """Where which rule found something, in an order of its own."""
    return sorted((finding.rule_id, finding.start, finding.end) for finding in findings)


def blocked(findings: Iterable[Finding]) -> bool:
    return any(finding.enforced and finding.action is Action.BLOCK for finding in findings)


def pieces_of(data: bytes) -> st.SearchStrategy[list[bytes]]:
    """All the ways to cut the data in pieces."""
    cuts = st.lists(st.integers(min_value=0, max_value=len(data)), max_size=12).map(sorted)
    return cuts.map(lambda edges: [data[a:b] for a, b in itertools.pairwise([0, *edges, len(data)])])


def impatiently(stream: BodyStream, pieces: Iterable[bytes]) -> bytes:
    """As `through`, by one who waits for nothing: what takes any time is gone on with by others."""
    out = b"".join(
        _patiently(stream, partial(stream.feed, piece), partial(stream.feed, b"")) for piece in pieces
    )
    return out + _patiently(stream, stream.finish, stream.finish)


def _patiently(stream: BodyStream, move: Callable[[], bytes], resume: Callable[[], bytes]) -> bytes:
    stream.patient = False
    try:
        return move()
    except OutOfPatience:
        stream.patient = True
        return resume()
