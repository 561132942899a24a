"""Reads are on record, too: who read the trail, how, and how many rows that gave.

Before anything is read there is a row `audit-read-begin`, at its end a row `audit-read`; so whoever kills the
command is on record as well. They go to an outbox of their own, numbered, chained and shipped like others.
"""

import os
import pwd
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from icapd.audit.outbox.directory import as_owner
from icapd.audit.outbox.file import Mode
from icapd.audit.outbox.writer import AuditWriter
from icapd.audit.uninterrupted import framed
from icapd.errors import AuditError

#: What the kernel has for a process that nobody logged in for.
_NO_LOGIN = 2**32 - 1
#: Bytes of an outbox that gets four rows.
OUTBOX_SIZE = 1024 * 1024


@dataclass(slots=True)
class Read:
    """A read under way."""

    #: So many records or groups it gave.
    rows: int = 0
    #: Why it is not on record; "" when it is.
    problem: str = ""


@contextmanager
def on_record(outbox: Path, mode: Mode, command: str, asked: Mapping[str, object]) -> Iterator[Read]:
    """A read that is put on record when it ends, however it ends.

    `asked`: what was asked for, without secrets; None is left out. Where no row can be written, as without
    the right to the outbox, `problem` says why before anything is read.
    """
    read = Read()
    detail = {**reader(), "command": command, "asked": given(asked)}

    def begin() -> AuditWriter | None:
        try:
            # Without the directory, no server ships from here.
            with as_owner(outbox):
                writer = AuditWriter.open(outbox, max_size=OUTBOX_SIZE, mode=mode, role="command")
                writer.note("audit-read-begin", detail)
                return writer
        except OSError as error:
            read.problem = f"{outbox}: {error.strerror}"
        except AuditError as error:
            read.problem = str(error)
        return None

    def end(writer: AuditWriter | None, _: bool) -> None:
        if writer is not None:
            with as_owner(outbox), writer:
                writer.note("audit-read", {**detail, "rows": read.rows})

    with framed(begin, end):
        yield read


def reader() -> dict[str, object]:
    """Who runs this process: the user, and who logged in for it, before any sudo."""
    try:
        login = int(Path("/proc/self/loginuid").read_text())
    except (OSError, ValueError):
        login = _NO_LOGIN
    user = os.getuid()
    found: dict[str, object] = {"user": _name(user)}
    if login != _NO_LOGIN:
        found["login"] = _name(login)
    return found


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


def given(asked: Mapping[str, object]) -> dict[str, object]:
    """What was asked for, without what was left open."""
    return {name: value for name, value in asked.items() if value is not None and value is not False}
