"""The keys of the fingerprints: one secret file, a key a line in hexadecimal, the newest one last.

The newest key makes fingerprints, the older ones are for looking up what they made. The file is made at the
first start and replaced whole, so whoever reads it finds all of it.
"""

import fcntl
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from icapd.errors import ConfigurationError

#: Bytes. As long as the hash's output, which is what HMAC-SHA-256 gains from (RFC 2104 section 3).
KEY_SIZE = 32
#: A look-up asks for one fingerprint for each of them. As many as two and a half years of months have.
MAX_KEYS = 32
#: Bytes; more than so many keys have, however long a site makes its own.
_MAX_FILE_SIZE = 64 * 1024


def load_or_create_keys(path: Path) -> tuple[bytes, ...]:
    """The keys in the file, the newest first; a new one, readable by its owner only, when there is no file.

    Raises ConfigurationError. A lost key makes old fingerprints incomparable with new ones, so a broken file
    is never replaced.
    """
    with _errors(path):
        if path.exists():
            return load_keys(path)
        key = secrets.token_bytes(KEY_SIZE)
        with _written(path, [key]) as written:
            try:
                # Never over another: whoever comes at the same time finds that one.
                os.link(written, path)
            except FileExistsError:
                return load_keys(path)
        return (key,)


def load_keys(path: Path) -> tuple[bytes, ...]:
    """The keys in the file, the newest first; ConfigurationError when there is none."""
    with _errors(path), path.open("rb") as file:
        return _parsed(path, file.read(_MAX_FILE_SIZE + 1))


def add_key(path: Path) -> tuple[bytes, ...]:
    """All keys, the newest first, once the file has one more; its owner and its mode stay.

    Raises ConfigurationError, and the file is as it was.
    """
    # What a link leads to is replaced, not the link.
    path = path.resolve()
    with _errors(path):
        while True:
            with path.open("rb") as file:
                # One at a time: who comes second waits, and then finds another file in its place.
                fcntl.flock(file, fcntl.LOCK_EX)
                before = os.fstat(file.fileno())
                if not os.path.samestat(before, path.stat()):
                    continue
                keys = _parsed(path, file.read(_MAX_FILE_SIZE + 1))
                if len(keys) >= MAX_KEYS:
                    raise ConfigurationError(f"audit.fingerprint_key: {path}: {_TOO_MANY}")
                keys = (secrets.token_bytes(KEY_SIZE), *keys)
                with _written(path, keys, before) as written:
                    written.rename(path)
                return keys


@contextmanager
def _written(path: Path, keys: Sequence[bytes], like: os.stat_result | None = None) -> Iterator[Path]:
    """A file beside `path` with these keys, on the disk, to be given its name; with that name it is, too."""
    file = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
            if like is not None:
                os.fchown(stream.fileno(), like.st_uid, like.st_gid)
                os.fchmod(stream.fileno(), stat.S_IMODE(like.st_mode))
            stream.writelines(f"{key.hex()}\n" for key in reversed(keys))
            stream.flush()
            os.fsync(stream.fileno())
        yield file
        _sync(path.parent)
    finally:
        file.unlink(missing_ok=True)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigurationError(f"audit.fingerprint_key: {path}: {error.strerror}") from None


_REMEDY = "restore it from a backup, or move it away to begin with a new one"
_TOO_MANY = (
    f"has {MAX_KEYS} keys, which is the most; take the oldest out, whose lines come first: what they made can"
    " then no longer be looked up"
)


def _parsed(path: Path, text: bytes) -> tuple[bytes, ...]:
    """The newest first."""
    try:
        return tuple(reversed(_keys_in(text)))
    except ValueError as error:
        raise ConfigurationError(f"audit.fingerprint_key: {path}: {error}") from None


def _keys_in(text: bytes) -> list[bytes]:
    """In the order of their lines. ValueError says what is wrong, and the remedy."""
    if len(text) > _MAX_FILE_SIZE:
        raise ValueError(f"is too large to be a file of keys; {_REMEDY}")
    keys: list[bytes] = []
    for number, line in enumerate(text.strip().splitlines(), 1):
        key = _key(line)
        if len(key) < KEY_SIZE:
            problem = f"line {number} is not a key of {KEY_SIZE} or more bytes in hexadecimal"
            raise ValueError(f"{problem}; {_REMEDY}")
        if key in keys:
            raise ValueError(f"line {number} is the key of line {keys.index(key) + 1} again; take it out")
        keys.append(key)
    if not keys:
        raise ValueError(f"holds no key; {_REMEDY}")
    if len(keys) > MAX_KEYS:
        raise ValueError(_TOO_MANY)
    return keys


def _key(line: bytes) -> bytes:
    try:
        return bytes.fromhex(line.decode("ascii"))
    except ValueError:
        return b""
