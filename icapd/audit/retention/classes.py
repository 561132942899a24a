"""How long rows stay, by what they tell: nothing found or done, something of either, administration."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self, get_args

from sqlalchemy import ColumnElement, Table, and_, case, exists, false, not_, or_, true

from icapd.audit import instants
from icapd.audit.outbox.adoption import DIED, START, STOP
from icapd.audit.search import same_key
from icapd.audit.tables import audit_admin, audit_dead_letter, audit_event, audit_finding, audit_shadow
from icapd.settings import Audit

#: `allowed`: nothing was found in the message and nothing done about it; and what a shadow policy would have
#: done. `found`: all other records. `admin`: what was done to the audit and to the policy.
Class = Literal["allowed", "found", "admin"]
CLASSES: tuple[Class, ...] = get_args(Class)

_DAY = 86_400 * 1_000_000

_event, _letter = audit_event.c, audit_dead_letter.c
# Another name than in statements that read findings themselves.
_any = audit_finding.alias("any_finding")
_IS_PLAIN = and_(
    _event.verdict == "allowed",
    _event.disposition.in_(("unmodified", "echoed")),
    not_(exists().where(same_key(audit_event, _any))),
)
#: By table, in the order in which rows are taken: of each class, the rows that are of it.
MEMBERS: dict[Table, dict[Class, ColumnElement[bool]]] = {
    audit_event: {"allowed": _IS_PLAIN, "found": not_(_IS_PLAIN)},
    audit_shadow: {"allowed": true()},
    audit_dead_letter: {"found": _letter.kind != "admin", "admin": _letter.kind == "admin"},
    # Who the writer was, and that it ended, stays as long as anything of it (`purge`).
    audit_admin: {"admin": audit_admin.c.action.not_in((START, STOP, DIED))},
}


@dataclass(frozen=True, slots=True)
class Cutoffs:
    """Of each class, the instant before which its rows may go; None: they all stay."""

    allowed: int | None = None
    found: int | None = None
    admin: int | None = None

    @classmethod
    def of(cls, audit: Audit, now: int) -> Self:
        """As the settings have it."""
        ages = {name: getattr(audit, f"retention_{name}") for name in CLASSES}
        return cls(**{name: max(0, now - days * _DAY) if days else None for name, days in ages.items()})

    @classmethod
    def before(cls, instant: int, classes: tuple[str, ...]) -> Self:
        """The same one for some classes."""
        return cls(**dict.fromkeys(classes, instant))

    def told(self, archive: Path | None) -> dict[str, object]:
        """For records: before when rows of each class went, and where to."""
        given = {name: getattr(self, name) for name in CLASSES}
        ages = {name: instants.iso(value) for name, value in given.items() if value is not None}
        return {"before": ages, "archive": None if archive is None else str(archive)}

    def __bool__(self) -> bool:
        return any(getattr(self, name) is not None for name in CLASSES)

    def due(self, table: Table) -> Iterator[tuple[Class, ColumnElement[bool]]]:
        """By class, which rows of a table are old enough to go."""
        for name, is_member in MEMBERS[table].items():
            cutoff = getattr(self, name)
            if cutoff is not None:
                yield name, and_(table.c.occurred_at < cutoff, is_member)

    def whole(self, table: Table) -> int | None:
        """Before when all rows of a table are old enough; None when some stay for ever."""
        cutoffs = [getattr(self, name) for name in MEMBERS[table]]
        return None if None in cutoffs else min(cutoffs)


def may_go(cutoffs: Cutoffs, table: Table, held: ColumnElement[bool]) -> ColumnElement[bool]:
    """Which rows of a table go. Never NULL, as `held` is not, so that its opposite is all the others."""
    latest = max((getattr(cutoffs, name) or 0 for name in MEMBERS[table]), default=0)
    is_due = or_(false(), *(due for _, due in cutoffs.due(table)))
    # The first one is for the database, which looks at no newer row then.
    return and_(table.c.occurred_at < latest, is_due, not_(held))


def is_so(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """The condition, false where it is NULL, as for a row without a user."""
    return case((condition, 1), else_=0) == 1
