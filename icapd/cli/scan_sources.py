"""What `icapd scan` looks at: files, directories, HAR files and standard input, as messages."""

import mimetypes
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from icapd.cli.scan_har import NoHar, har_messages, printable
from icapd.http.headers import Headers
from icapd.services.offline import Message

Direction = Literal["request", "response"]

#: Directories with nothing that anybody wrote there: what tools keep, and what they fetch again.
SKIPPED_DIRECTORIES = frozenset({".git", ".hg", ".svn", ".jj", "__pycache__", "node_modules", ".venv"})
#: The name of standard input, as it is typed.
STDIN = Path("-")


@dataclass(frozen=True, slots=True)
class Source:
    """One message, or why there is none."""

    #: As a person finds it: the file, and within a HAR file the entry.
    path: str
    part: str = ""
    message: Message | None = field(default=None, repr=False)
    problem: str = ""
    #: Whether the file was named, and not only found in a directory.
    named: bool = True

    @property
    def name(self) -> str:
        return f"{self.path}{self.part}"


@dataclass(frozen=True, slots=True)
class Reading:
    """How the files are to be read."""

    direction: Direction
    #: What the files are; None: by their names.
    content_type: str | None
    #: Bytes of the largest file that is read.
    max_size: int
    #: Takes secrets out of a URL, which is shown.
    mask: Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Found:
    """A file to look at."""

    path: Path
    named: bool
    #: Why a directory can't be read; "" for all else.
    problem: str = ""


def find_files(paths: Iterable[Path], exclude: Sequence[str]) -> list[Found]:
    """The files named, and those in the directories named, each once, less those that a glob leaves out."""
    found: dict[Path, Found] = {}
    for path in paths:
        if path.is_dir():
            for file in _walk(path, exclude):
                found.setdefault(file.path, file)
        elif not _is_excluded(path, path.parent, exclude):
            found[path] = Found(path, named=True)
    return list(found.values())


def _walk(top: Path, exclude: Sequence[str]) -> Iterator[Found]:
    """Regular files below a directory, in order, then directories that can't be read; no link is followed."""
    unreadable: list[OSError] = []
    for parent, directories, names in os.walk(top, onerror=unreadable.append):
        base = Path(parent)
        directories[:] = sorted(
            name
            for name in directories
            if name not in SKIPPED_DIRECTORIES and not _is_excluded(base / name, top, exclude)
        )
        for name in sorted(names):
            path = base / name
            if not _is_excluded(path, top, exclude) and path.is_file() and not path.is_symlink():
                yield Found(path, named=False)
    for error in unreadable:
        yield Found(Path(error.filename), named=False, problem=f"can't be read: {error.strerror}")


def _is_excluded(path: Path, top: Path, exclude: Sequence[str]) -> bool:
    """Whether a glob fits the name; one with a slash: the way from the directory that was named."""
    way = path.relative_to(top).as_posix()
    return any(
        fnmatchcase(way if "/" in glob.rstrip("/") else path.name, glob.rstrip("/")) for glob in exclude
    )


def read(file: Found, reading: Reading) -> Iterator[Source]:
    """The messages in a file: one, or those of a HAR file."""
    path = printable(os.fsencode(file.path))
    body, problem = (b"", file.problem) if file.problem else _content(file.path, reading.max_size)
    if problem:
        yield Source(path, problem=problem, named=file.named)
    elif file.path.suffix.lower() == ".har":
        try:
            for part, message in har_messages(body, reading.mask):
                yield Source(path, part, message, named=file.named)
        except NoHar as error:
            yield Source(path, problem=f"is no HAR file: {error}", named=file.named)
    else:
        guessed, coding = mimetypes.guess_type(file.path)
        fields = ((b"Content-Type", reading.content_type or guessed), (b"Content-Encoding", coding))
        headers = Headers(tuple((name, value.encode()) for name, value in fields if value))
        yield Source(path, "", Message(reading.direction, b"POST", b"/", headers, body), named=file.named)


def _content(path: Path, max_size: int) -> tuple[bytes, str]:
    """The bytes of a file, or why they are not read."""
    try:
        if path == STDIN:
            content = sys.stdin.buffer.read(max_size + 1)
        else:
            with path.open("rb") as file:
                content = file.read(max_size + 1)
    except OSError as error:
        return b"", f"can't be read: {error.strerror}"
    if len(content) > max_size:
        return b"", f"is larger than {max_size // 1024} KB; --max-size takes more"
    return content, ""
