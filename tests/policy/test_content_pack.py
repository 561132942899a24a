"""What bodies begin with: deceptions are blocked, ordinary downloads pass."""

import gzip
import io
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from support.policies import UNHURRIED

from icapd.inspection import Fingerprinter, Inspector
from icapd.policy import Action, default_rules_directory, load_policy


@pytest.fixture(scope="module")
def inspector() -> Inspector:
    policy = load_policy(default_rules_directory(), packs=["content"])
    return Inspector(policy.response, Fingerprinter.ephemeral(), UNHURRIED)


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("a.txt"), "a" * 100)
    return buffer.getvalue()


def tarred() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.txt"))
    return buffer.getvalue()


# The program that runs this, as the system made it.
PROGRAM = Path(sys.executable).resolve().read_bytes()[:1024]
WINDOWS_PROGRAM = b"MZ\x90" + bytes(57) + b"\x80\x00\x00\x00" + bytes(64) + b"PE\x00\x00d\x86" + bytes(40)
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(range(256)) * 3
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01" + bytes(range(256)) * 3
OLE = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(500)
HTML = b"<!DOCTYPE html>\n<html><head><title>404</title>"

PASSING = [
    (PNG, "image/png"),
    (JPEG, "image/jpeg"),
    (b"GIF89a" + bytes(300), "image/gif"),
    (b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>", "image/svg+xml"),
    (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
    (b"\x00\x00\x00 ftypisom", "video/mp4"),
    (b"wOF2\x00\x01\x00\x00", "font/woff2"),
    (b"\x00asm\x01\x00\x00\x00", "application/wasm"),
    (b"%PDF-1.7\n", "application/pdf"),
    (zipped(), "application/zip"),
    (zipped(), "application/octet-stream"),
    (zipped(), "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    (zipped(), "application/java-archive"),
    (zipped(), ""),
    (tarred(), "application/x-tar"),
    (gzip.compress(b"a" * 999, mtime=0), "application/gzip"),
    (gzip.compress(b"a" * 999, mtime=0), "text/plain"),
    (OLE, "application/msword"),
    (OLE, "application/x-msi"),
    (b"!<arch>\ndebian-binary   ", "application/vnd.debian.binary-package"),
    (b"!<arch>\n/               ", "application/x-archive"),
    (HTML, "text/html"),
    (HTML, "image/png"),  # what servers say of an image that they miss
    (HTML, "application/json"),
    (b'{"mz": "MZ"}', "application/json"),
    (b"MZ, which is Mozambique's code of two letters, has PE in it", "text/html"),
    (b"#!/bin/sh\necho\n", "text/x-sh"),
    (b"#!/bin/sh\necho\n", "text/plain"),
    (b"# Notes", "text/markdown"),
    (PROGRAM, "application/octet-stream"),
    (PROGRAM, "text/plain"),
    (PROGRAM, ""),
    (WINDOWS_PROGRAM, "application/octet-stream"),
]


@pytest.mark.parametrize(("body", "essence"), PASSING, ids=map(str, range(len(PASSING))))
def test_ordinary_bodies_pass(inspector: Inspector, body: bytes, essence: str) -> None:
    found = inspector.inspect_value("magic", body[:1024], essence)
    assert [finding.rule_id for finding in found if finding.action >= Action.REDACT] == []


DECEPTIONS = [
    (PROGRAM, "image/png", "content.program-in-disguise"),
    (WINDOWS_PROGRAM, "application/pdf", "content.program-in-disguise"),
    (WINDOWS_PROGRAM, "application/json", "content.program-in-disguise"),
    (WINDOWS_PROGRAM, "text/html", "content.program-in-disguise"),
    (bytes.fromhex("cafebabe00000041"), "audio/mpeg", "content.program-in-disguise"),
    (bytes.fromhex("4c0000000114020000000000c000000000000046"), "image/jpeg", "content.program-in-disguise"),
    (zipped(), "image/jpeg", "content.archive-in-disguise"),
    (OLE, "image/png", "content.archive-in-disguise"),
    (b"#!/bin/sh\n", "image/png", "content.script-in-disguise"),
    (JPEG[:40] + b"<?php eval($_POST[1]); ?>", "image/jpeg", "content.script-in-disguise"),
]


@pytest.mark.parametrize(("body", "essence", "rule"), DECEPTIONS, ids=map(str, range(len(DECEPTIONS))))
def test_deceptions_are_blocked_in_words_for_people(
    inspector: Inspector, body: bytes, essence: str, rule: str
) -> None:
    found = inspector.inspect_value("magic", body[:1024], essence)
    assert [finding.rule_id for finding in found if finding.action is Action.BLOCK] == [rule]
    (blocking,) = [compiled for compiled in inspector.rules.rules if compiled.id == rule]
    assert blocking.rule.block_message


@pytest.mark.parametrize(
    ("name", "rules"),
    [
        (b"report.pdf", set()),
        (b"a..b.pdf", set()),
        (b"../../x", {"content.name-with-a-path"}),
        (b"invoice.pdf\x00.exe", {"content.executable-name", "content.name-with-a-path"}),
        (b"nul.txt", {"content.device-name"}),
        (b"q.docm", {"content.macro-document-name"}),
        (b"debian.iso", {"content.disk-image-name"}),
    ],
)
def test_names(inspector: Inspector, name: bytes, rules: set[str]) -> None:
    assert {finding.rule_id for finding in inspector.inspect_value("name", name, "")} == rules
