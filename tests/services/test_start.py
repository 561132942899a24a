"""Rules on the first bytes of a body, of whatever type, coded or not, with a preview or without."""

import gzip
from pathlib import Path

import pytest
from support import wire
from support.adapting import adapt, catalogue_of, respmod_of, response
from support.policies import UNHURRIED

from icapd.http.headers import Headers
from icapd.http.heads import RequestHead, ResponseHead
from icapd.inspection import Fingerprinter, Inspector
from icapd.policy import MAGIC_SIZE, Policy, load_policy
from icapd.services.examination import examine_magic
from icapd.services.offline import Message, examine

PACK = r"""
[[rule]]
id = "first.program"
description = "A program"
targets = ["magic"]
pattern = '\A\x7fELF'
action = "log"
severity = "low"
match = [{ hex = "7f454c46" }]

[[rule]]
id = "first.disguise"
description = "A program that calls itself an image"
targets = ["magic"]
media_types = ["image/*"]
pattern = '\A\x7fELF'
action = "block"
block_message = "This is no picture."
severity = "high"
match = [{ hex = "7f454c46" }]

[[rule]]
id = "first.far"
description = "Something further on"
targets = ["magic"]
pattern = 'MARK'
action = "log"
severity = "low"
match = ["MARK"]

[[rule]]
id = "first.text"
description = "A text, for which bodies are read"
targets = ["body"]
pattern = 'a text'
action = "log"
severity = "low"
match = ["a text"]
"""
ELF = b"\x7fELF\x02\x01\x01" + bytes(3000)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(3000)


@pytest.fixture(scope="module")
def magic(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    directory: Path = tmp_path_factory.mktemp("magic")
    (directory / "first.toml").write_text(PACK, encoding="utf-8")
    return load_policy(directory, packs=["first"])


def rules_of(policy: Policy, body: bytes, media_type: bytes, *fields: bytes) -> list[str]:
    record = adapt(catalogue_of(policy), respmod_of(body, media_type, *fields)).record
    return [finding.rule_id for finding in record.findings]


def test_a_binary_download_that_no_rule_finds_ends_with_its_preview(magic: Policy) -> None:
    outcome = adapt(catalogue_of(magic), respmod_of(PNG, b"image/png"))
    assert outcome.status == 204
    assert b"100 Continue" not in outcome.sent
    assert (outcome.record.verdict, outcome.record.skip_reason) == ("allowed", "media-type")


def test_one_that_is_only_noted_ends_there_too(magic: Policy) -> None:
    outcome = adapt(catalogue_of(magic), respmod_of(ELF, b"application/octet-stream"))
    assert outcome.status == 204
    assert b"100 Continue" not in outcome.sent
    assert [finding.rule_id for finding in outcome.record.findings] == ["first.program"]
    assert outcome.record.verdict == "logged"


def test_a_program_that_calls_itself_an_image_is_blocked_in_the_words_of_the_rule(magic: Policy) -> None:
    outcome = adapt(catalogue_of(magic), respmod_of(ELF, b"image/png"))
    assert b"403 Forbidden" in outcome.http_head
    assert b"This is no picture." in outcome.body
    assert outcome.record.disposition == "blocked"


def test_it_is_blocked_without_a_preview_too(magic: Policy) -> None:
    body = wire.chunked(ELF[:1], ELF[1:3], ELF[3:])
    outcome = adapt(catalogue_of(magic), wire.respmod(response(ELF, b"image/png"), body, Allow="204"))
    assert b"403 Forbidden" in outcome.http_head


def test_a_short_body_is_looked_at_at_its_end(magic: Policy) -> None:
    body = wire.chunked(ELF[:3], ELF[3:6])
    outcome = adapt(catalogue_of(magic), wire.respmod(response(ELF[:6], b"image/png"), body, Allow="204"))
    assert b"403 Forbidden" in outcome.http_head


def test_a_coding_comes_off_first(magic: Policy) -> None:
    assert rules_of(magic, gzip.compress(ELF), b"font/woff", b"Content-Encoding: gzip") == ["first.program"]
    assert rules_of(magic, b"\x1f\x8b broken", b"font/woff", b"Content-Encoding: gzip") == []


def test_no_further_than_the_first_bytes(magic: Policy) -> None:
    assert rules_of(magic, bytes(MAGIC_SIZE - 4) + b"MARK", b"font/woff") == ["first.far"]
    assert rules_of(magic, bytes(MAGIC_SIZE - 3) + b"MARK", b"font/woff") == []


@pytest.mark.parametrize(
    ("content_range", "found"), [(b"bytes 0-9/99", 1), (b"Bytes 0-9/*", 1), (b"bytes 10-99/99", 0), (b"?", 0)]
)
def test_only_where_a_range_begins_at_the_beginning(magic: Policy, content_range: bytes, found: int) -> None:
    inspector = Inspector(magic.response, Fingerprinter.ephemeral(), UNHURRIED)
    head = ResponseHead(206, headers=Headers(((b"Content-Range", content_range),)))
    assert len(examine_magic(inspector, head, (), ELF)) == found


def test_uploads_are_looked_at(magic: Policy) -> None:
    inspector = Inspector(magic.request, Fingerprinter.ephemeral(), UNHURRIED)
    head = RequestHead(b"PUT", b"/a.png", headers=Headers(((b"Content-Type", b"image/png"),)))
    assert [finding.rule_id for finding in examine_magic(inspector, head, (), ELF)] == [
        "first.program",
        "first.disguise",
    ]


def test_scans_of_files_know_their_first_bytes(magic: Policy) -> None:
    inspector = Inspector(magic.response, Fingerprinter.ephemeral(), UNHURRIED)
    fields = Headers(((b"Content-Type", b"image/png"),))
    found = examine(Message("response", b"GET", b"/", fields, ELF), inspector).findings
    assert {finding.rule_id for finding in found} == {"first.program", "first.disguise"}


@pytest.mark.parametrize(
    ("media_type", "content", "status", "found"),
    [
        (b"image/png", ELF[:40], 403, ["first.program", "first.disguise"]),
        (b"application/octet-stream", ELF[:40], 204, ["first.program"]),
        (b"image/png", PNG[:40], 204, []),
    ],
)
def test_parts_of_an_upload_are_looked_at_by_their_own_types(
    magic: Policy, media_type: bytes, content: bytes, status: int, found: list[str]
) -> None:
    fields = b'Content-Disposition: form-data; name="f"; filename="a"\r\nContent-Type: %b\r\n' % media_type
    form = b"--b\r\n%b\r\n%b\r\n--b--\r\n" % (fields, content)
    head = b"POST https://h/ HTTP/1.1\r\nHost: h\r\nContent-Type: multipart/form-data; boundary=b\r\n\r\n"
    outcome = adapt(catalogue_of(magic), wire.reqmod(head, wire.chunked(form), Allow="204"))
    assert [finding.rule_id for finding in outcome.record.findings] == found
    assert outcome.status == (204 if status == 204 else 200)
    assert outcome.record.disposition == ("unmodified" if status == 204 else "blocked")
