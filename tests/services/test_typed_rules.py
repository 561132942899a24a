"""media_types hold for names, content types and sizes as they do for bodies."""

from pathlib import Path

import pytest
from support import wire
from support.adapting import adapt, catalogue_of, respmod_of, response

from icapd.policy import Policy, load_policy

PACK = r"""
[[rule]]
id = "typed.name"
description = "A name"
targets = ["name"]
media_types = ["image/*"]
pattern = 'items'
action = "log"
severity = "low"
match = ["items"]

[[rule]]
id = "typed.type"
description = "A type"
targets = ["content-type"]
media_types = ["image/*"]
pattern = '.'
action = "log"
severity = "low"
match = ["image/png"]

[[rule]]
id = "typed.size"
description = "A size"
targets = ["size"]
media_types = ["image/*", "application/json"]
max_size = 9
action = "log"
severity = "low"


[[rule]]
id = "typed.body"
description = "A text, for which bodies are read"
targets = ["body"]
pattern = 'text'
action = "log"
severity = "low"
match = ["text"]
"""


@pytest.fixture(scope="module")
def typed(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    directory: Path = tmp_path_factory.mktemp("typed")
    (directory / "typed.toml").write_text(PACK, encoding="utf-8")
    return load_policy(directory, packs=["typed"])


@pytest.mark.parametrize(
    ("media_type", "found"),
    [
        (b"image/png", {"typed.name", "typed.type", "typed.size"}),
        (b"application/json", {"typed.size"}),
        (b"text/plain", set()),
    ],
)
def test_only_messages_of_that_type_are_looked_at(typed: Policy, media_type: bytes, found: set[str]) -> None:
    record = adapt(catalogue_of(typed), respmod_of(b"0123456789", media_type)).record
    assert {finding.rule_id for finding in record.findings} == found


@pytest.mark.parametrize(("media_type", "found"), [(b"application/json", 1), (b"text/plain", 0)])
def test_sizes_that_nobody_announced(typed: Policy, media_type: bytes, found: int) -> None:
    head = response(b"", media_type).replace(b"Content-Length: 0\r\n", b"")
    record = adapt(catalogue_of(typed), wire.respmod(head, wire.chunked(b"0123456789"), Allow="204")).record
    assert len(record.findings) == found
