"""Losses of power, modelled: what a disk may hold of what a program wrote, at any moment of its run.

strace(1) writes down what the program asked the kernel for. What was synced is on the disk; of what was not,
any part may be: each write whole, up to some sector, or not at all. A file that was synced has its name (as
ext4, XFS and Btrfs have it), one that was not may have none; and one that was taken off may have it still,
until its directory is synced.
"""

import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Literal

#: Bytes that a disk writes whole or not at all.
SECTOR = 512

_CALLS = "pwrite64,write,fdatasync,fsync,ftruncate,unlink,unlinkat"
_LINE = re.compile(r"\d+ +(\w+)\((.*)\) = (-?\d+)(?: .*)?")
_HEX = re.compile(r"\\x([0-9a-f]{2})")

#: What becomes of each write that was not synced: nothing, all of it, or whatever the dice say.
Fate = Literal["lost", "kept", "torn"]


@dataclass(frozen=True)
class Call:
    """One call to the kernel, and what it was about."""

    name: str
    #: The file's path; of `write` on standard output, "".
    file: str
    data: bytes = b""
    #: Of a write, where; of `ftruncate`, how long the file is then.
    offset: int = 0


@dataclass
class _File:
    synced: bytes | None = None
    #: What was written since.
    pending: list[Call] = field(default_factory=list)

    @property
    def is_unlinked(self) -> bool:
        return any(call.name == "unlink" for call in self.pending)


def record(command: Sequence[str], log: Path) -> list[Call]:
    """Run the program, and return what it asked for, in its order. It must be one thread."""
    options = ["-f", "-y", "-xx", "-qq", "--string-limit=1000000", f"--trace={_CALLS}", f"--output={log}"]
    subprocess.run(["strace", *options, *command], check=True, stdout=subprocess.PIPE)
    return list(_calls(log))


def _calls(log: Path) -> Iterator[Call]:
    with log.open() as lines:
        for line in lines:
            match = _LINE.fullmatch(line.rstrip())
            if match is None or int(match[3]) < 0:
                continue
            name, first, *rest = match[1], *match[2].split(", ")
            descriptor, _, path = first.partition("<")
            file = _bytes(path).decode(errors="replace")
            match name:
                case "write":
                    if descriptor == "1":
                        yield Call(name, "", _bytes(rest[0]))
                case "pwrite64":
                    yield Call(name, file, _bytes(rest[0]), int(rest[2]))
                case "ftruncate":
                    yield Call(name, file, offset=int(rest[0]))
                case "unlink" | "unlinkat":
                    yield Call(
                        "unlink", _bytes(first if name == "unlink" else rest[0]).decode(errors="replace")
                    )
                case _:
                    yield Call("sync", file)


def _bytes(text: str) -> bytes:
    return bytes(int(pair, 16) for pair in _HEX.findall(text))


def lose_power(
    calls: Sequence[Call], fate: Fate, dice: Random, wanted: Callable[[str], bool]
) -> dict[str, bytes]:
    """What the disk holds of the files that are wanted when power is lost behind the last of the calls."""
    files: dict[str, _File] = {}
    for call in calls:
        if not wanted(call.file):
            continue
        file = files.setdefault(call.file, _File())
        if call.name != "sync":
            file.pending.append(call)
            continue
        gone = [one for path, one in files.items() if path.startswith(f"{call.file}/") and one.is_unlinked]
        for synced in (file, *gone):
            synced.synced = _after(synced.synced, synced.pending, "kept", dice)
            synced.pending = []
    found = {path: _after(file.synced, file.pending, fate, dice) for path, file in files.items()}
    return {path: data for path, data in found.items() if data is not None}


def _after(data: bytes | None, calls: Sequence[Call], fate: Fate, dice: Random) -> bytes | None:
    content = None if data is None else bytearray(data)
    for call in calls:
        kept = len(call.data) if fate == "kept" else 0
        if fate == "torn":
            kept = min(len(call.data), dice.randrange(len(call.data) // SECTOR + 2) * SECTOR)
        if call.name == "unlink":
            if fate == "kept" or (fate == "torn" and dice.random() < 0.5):
                content = None
        elif call.name == "ftruncate":
            if content is not None and (fate == "kept" or (fate == "torn" and dice.random() < 0.5)):
                content[call.offset :] = bytes(max(0, call.offset - len(content)))
        elif kept:
            content = bytearray() if content is None else content
            content.extend(bytes(max(0, call.offset - len(content))))
            content[call.offset : call.offset + kept] = call.data[:kept]
    return None if content is None else bytes(content)
