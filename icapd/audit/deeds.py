"""What is done to the trail by hand, or by the server's own retention, is on record before it is done.

Like reads (`reads`), in an outbox of its own. But a deed that can't be on record is not done.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from icapd.audit.outbox.directory import as_owner
from icapd.audit.outbox.file import Role
from icapd.audit.outbox.writer import AuditWriter
from icapd.audit.reads import OUTBOX_SIZE, given, reader
from icapd.audit.uninterrupted import framed
from icapd.errors import AuditError
from icapd.settings import Audit


@dataclass(slots=True)
class Deed:
    """A deed under way."""

    #: Whose rows in audit_admin tell of it.
    writer_id: int
    #: What is told of it at its end.
    outcome: dict[str, object] = field(default_factory=dict)


@contextmanager
def on_record(
    audit: Audit, action: str, asked: Mapping[str, object], *, is_long: bool, is_server: bool = False
) -> Iterator[Deed]:
    """A row `action` once it is done, with who did it, what was `asked` (None is left out) and its outcome.

    `is_long`: a row `action-begin` comes first, and the other one however it ends; else only when it is done.
    `is_server`: it is the server's own, whose outbox it is, and which has other threads (`as_owner`).
    Raises AuditError when there can be no row.
    """
    owner = nullcontext if is_server else _as_owner
    detail = {**reader(), **given(asked)}
    outbox = Path(audit.outbox)

    def begin() -> tuple[AuditWriter, Deed]:
        role: Role = "retention" if is_server else "command"
        try:
            with owner(outbox):
                writer = AuditWriter.open(outbox, max_size=OUTBOX_SIZE, mode=audit.mode, role=role)
                if is_long:
                    writer.note(f"{action}-begin", detail)
                return writer, Deed(writer.writer_id)
        except AuditError as error:
            raise AuditError(
                f"nothing was done, for it could not be put on record: {error}; run this where the server"
                " runs, as its user or as root"
            ) from None

    def end(begun: tuple[AuditWriter, Deed], is_done: bool) -> None:
        writer, deed = begun
        with owner(outbox), writer:
            if is_done or is_long:
                writer.note(action, {**detail, **deed.outcome})

    with framed(begin, end, is_short=not is_long) as (_, deed):
        yield deed


@contextmanager
def _as_owner(outbox: Path) -> Iterator[None]:
    try:
        with as_owner(outbox):
            yield
    except OSError as error:
        raise AuditError(f"{outbox}: {error.strerror}") from None
