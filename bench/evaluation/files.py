"""Harmless responses made of files as they lie on disk: what a browser, a client or a tool would fetch."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from bench.evaluation.case import Case, response

#: Bytes of a file that are sent; some packages carry megabytes of data.
_MAX_SIZE = 96 * 1024

#: Media types by the end of the name; other files are left out, unless they have no ending at all.
_TYPES = {
    ".c": "text/plain",
    ".cfg": "text/plain",
    ".conf": "text/plain",
    ".css": "text/css",
    ".csv": "text/csv",
    ".go": "text/plain",
    ".h": "text/plain",
    ".htm": "text/html",
    ".html": "text/html",
    ".ini": "text/plain",
    ".java": "text/plain",
    ".js": "text/javascript",
    ".json": "application/json",
    ".lock": "text/plain",
    ".log": "text/plain",
    ".map": "application/json",
    ".md": "text/markdown",
    ".mjs": "text/javascript",
    ".mod": "text/plain",
    ".patch": "text/plain",
    ".diff": "text/plain",
    ".pem": "text/plain",
    ".php": "text/plain",
    ".pl": "text/plain",
    ".pm": "text/plain",
    ".po": "text/plain",
    ".py": "text/x-python",
    ".pyi": "text/x-python",
    ".rb": "text/plain",
    ".rs": "text/plain",
    ".rst": "text/plain",
    ".sh": "text/x-sh",
    ".sql": "text/plain",
    ".sum": "text/plain",
    ".svg": "image/svg+xml",
    ".toml": "text/plain",
    ".ts": "text/plain",
    ".txt": "text/plain",
    ".xml": "application/xml",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    "": "text/plain",
}


def responses(family: str, paths: Iterable[Path], root: Path) -> Iterator[Case]:
    """A response for each file that is text of a known type."""
    for path in paths:
        media_type = _TYPES.get(path.suffix.lower())
        if media_type is None:
            continue
        with path.open("rb") as file:
            body = file.read(_MAX_SIZE)
        if b"\0" in body or len(body) < 40:
            continue
        case = response(family, media_type, body)
        yield Case(family, "response", b"GET", str(path.relative_to(root)).encode(), case.headers, body)


def files_under(root: Path) -> list[Path]:
    """Every file below the directory, sorted by name."""
    return sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
