"""Signed notes: a text with Ed25519 signatures below it, as C2SP's signed-note has them (https://c2sp.org).

    TEXT, one or more lines
    (an empty line)
    — NAME BASE64(4 bytes of the key's id || signature over TEXT)

So any tool for such notes can check ours. Keys are texts as well, in the form of the same family:
`NAME+ID+KEY` to check with, `PRIVATE+KEY+NAME+ID+KEY` to sign with.
"""

import base64
import binascii
import hashlib
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from icapd.errors import AuditError

#: Under which icapd signs; keys are told apart by their ids.
NAME = "icapd"
#: What a note's signature begins with, in its line.
_DASH = "\N{EM DASH} "
#: Says Ed25519 in front of a key.
_ED25519 = b"\x01"
_KEY_SIZE, _ID_SIZE, _SIGNATURE_SIZE = 32, 4, 64
_PRIVATE = "PRIVATE+KEY+"
#: Characters of a note; ours have some 300.
_LONGEST = 4096


class NoteError(ValueError):
    """A note, or a key, that is none, or that nobody trusted has signed."""


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key that is trusted."""

    name: str
    key: bytes

    @property
    def id(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.key).digest()[:_ID_SIZE]

    @classmethod
    def parse(cls, text: str) -> Self:
        """From `NAME+ID+KEY`; NoteError."""
        name, key_id, key = _parts(text)
        verifier = cls(name, key)
        if verifier.id != key_id:
            raise NoteError("its id is not that of its key; a character may be missing or wrong")
        return verifier

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(_ED25519 + self.key).decode()}"


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key."""

    verifier: Verifier
    _key: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def generate(cls) -> Self:
        return cls._of(NAME, Ed25519PrivateKey.generate())

    @classmethod
    def parse(cls, text: str) -> Self:
        """From `PRIVATE+KEY+NAME+ID+KEY`; NoteError, which does not hold the text."""
        if not text.startswith(_PRIVATE):
            raise NoteError(f"does not begin with {_PRIVATE}")
        name, key_id, key = _parts(text.removeprefix(_PRIVATE))
        signer = cls._of(name, Ed25519PrivateKey.from_private_bytes(key))
        if signer.verifier.id != key_id:
            raise NoteError("its id is not that of its key")
        return signer

    @classmethod
    def _of(cls, name: str, key: Ed25519PrivateKey) -> Self:
        return cls(Verifier(name, key.public_key().public_bytes_raw()), key)

    def secret_text(self) -> str:
        """What `parse` takes."""
        key = base64.b64encode(_ED25519 + self._key.private_bytes_raw()).decode()
        return f"{_PRIVATE}{self.verifier.name}+{self.verifier.id.hex()}+{key}"

    def sign(self, text: str) -> str:
        """The note of a text that ends with a line's end."""
        signature = base64.b64encode(self.verifier.id + self._key.sign(text.encode())).decode()
        return f"{text}\n{_DASH}{self.verifier.name} {signature}\n"


def signed_text(note: str, verifiers: Mapping[bytes, Verifier]) -> str:
    """The text of a note that one of the verifiers, which are given by their ids, has signed.

    Signatures of others count for nothing. NoteError for none of ours, and for one of ours that is wrong.
    """
    text, mark, signatures = note[:_LONGEST].rpartition("\n\n")
    if not mark or not signatures.endswith("\n"):
        raise NoteError("is no signed note")
    text += "\n"
    is_signed = False
    for line in signatures.removesuffix("\n").split("\n"):
        name, _, encoded = line.removeprefix(_DASH).partition(" ")
        data = _decoded(encoded)
        if not line.startswith(_DASH) or len(data) != _ID_SIZE + _SIGNATURE_SIZE:
            raise NoteError("is no signed note")
        verifier = verifiers.get(data[:_ID_SIZE])
        if verifier is None or verifier.name != name:
            continue
        try:
            Ed25519PublicKey.from_public_bytes(verifier.key).verify(data[_ID_SIZE:], text.encode())
        except (InvalidSignature, UnicodeEncodeError):
            raise NoteError("its signature is wrong") from None
        is_signed = True
    if not is_signed:
        raise NoteError("is signed with none of the trusted keys")
    return text


def load_or_create_signer(path: Path) -> Signer:
    """The key in the file; a new one, readable by its owner only, when there is no file. Raises AuditError.

    A broken file is never replaced: what it signed could not be checked any more.
    """
    signer = Signer.generate()
    unfinished = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        if path.exists():
            return load_signer(path)
        try:
            with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(signer.secret_text() + "\n")
                file.flush()
                os.fsync(file.fileno())
            # Whole at once, and never over another: whoever comes at the same time finds that one.
            os.link(unfinished, path)
            _sync(path.parent)
        except FileExistsError:
            return load_signer(path)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise AuditError(f"[audit] signing_key: {path}: {error.strerror}") from None
    return signer


def _sync(directory: Path) -> None:
    """Its names are on the disk, too."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def load_signer(path: Path) -> Signer:
    """The key in the file. Raises AuditError."""
    try:
        return Signer.parse(path.read_text("ascii").strip())
    except OSError as error:
        reason = error.strerror
    except UnicodeDecodeError:
        reason = "is not text"
    except NoteError as error:
        reason = f"is no key for signing ({error})"
    raise AuditError(
        f"[audit] signing_key: {path}: {reason}; restore it from a backup, or move it away to begin with a"
        " new one and keep the public key of the old one for `icapd audit verify --public-key`"
    )


def _parts(text: str) -> tuple[str, bytes, bytes]:
    """The name, the id and the key itself."""
    name, _, rest = text.partition("+")
    key_id, _, encoded = rest.partition("+")
    key = _decoded(encoded)
    if not name or len(key) != 1 + _KEY_SIZE or key[:1] != _ED25519:
        raise NoteError("is no key of the form NAME+ID+KEY for Ed25519")
    try:
        return name, bytes.fromhex(key_id), key[1:]
    except ValueError:
        raise NoteError("is no key of the form NAME+ID+KEY for Ed25519") from None


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return b""
