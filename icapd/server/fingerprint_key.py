"""The key of the fingerprints: one secret file, made at the first start."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from icapd.errors import ConfigurationError

#: Bytes. As long as the hash's output, which is what HMAC-SHA-256 gains from (RFC 2104 section 3).
KEY_SIZE = 32


def load_or_create_key(path: Path) -> bytes:
    """The key in the file (hexadecimal); a new one, readable by its owner only, when there is no file.

    Raises ConfigurationError. A lost key makes old fingerprints incomparable with new ones, so a broken file
    is never replaced.
    """
    with _errors(path):
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return load_key(path)
        key = secrets.token_bytes(KEY_SIZE)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(key.hex() + "\n")
        return key


def load_key(path: Path) -> bytes:
    """The key in the file; ConfigurationError when there is none."""
    with _errors(path):
        return _parsed(path, path.read_text("ascii"))


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigurationError(f"audit.fingerprint_key: {path}: {reason}") from None


def _parsed(path: Path, text: str) -> bytes:
    try:
        key = bytes.fromhex(text.strip())
    except ValueError:
        key = b""
    if len(key) < KEY_SIZE:
        raise ConfigurationError(
            f"audit.fingerprint_key: {path}: is not a key of {KEY_SIZE} or more bytes in hexadecimal; "
            "restore it from a backup, or move it away to begin with a new one"
        )
    return key
