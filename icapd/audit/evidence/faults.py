"""What can be wrong with a trail, and what `icapd audit verify` says of it."""

from dataclasses import dataclass, field
from enum import IntEnum


class Kind(IntEnum):
    """Kinds of faults, by the exit code that each has; of several faults the lowest one counts."""

    #: A row or a checkpoint is not what it was.
    ALTERED = 1
    #: A row or a checkpoint is not there any more.
    MISSING = 2
    #: A number is there more than once.
    DUPLICATED = 3
    #: The newest rows are not there any more: something speaks for them.
    TRUNCATED = 4
    #: Nothing signed speaks for the newest rows, or a writer fell silent. No fault by itself.
    UNSIGNED = 5


#: The exit code when rows are not there because retention took them, and that is all.
PURGED = 6
#: Faults that are kept; the others are counted.
KEPT = 100


@dataclass(frozen=True, slots=True)
class Fault:
    """One of them, and where."""

    kind: Kind
    writer_id: object
    #: The number of the row that is concerned.
    writer_seq: int
    #: A table, or `anchor`.
    place: str
    problem: str


@dataclass(slots=True)
class Report:
    """The outcome of a verification."""

    writers: int = 0
    rows: int = 0
    checkpoints: int = 0
    anchors: int = 0
    #: Files of archived rows that were read along.
    archives: int = 0
    #: Statements of purges, and the rows that are not there because of them.
    purges: int = 0
    purged: int = 0
    #: Rows whose subject was erased; the chain holds without.
    erased: int = 0
    #: Rows of a time before there were chains: nothing is known of them.
    unchained: int = 0
    #: Rows behind the newest checkpoint of their writer.
    unsigned: int = 0
    #: Writers without an end that have said nothing for a long time while others did.
    silent: int = 0
    #: The first faults; and how many of each kind there are.
    faults: list[Fault] = field(default_factory=list)
    counts: dict[Kind, int] = field(default_factory=dict)

    def add(self, fault: Fault) -> None:
        count = self.counts.get(fault.kind, 0)
        self.counts[fault.kind] = count + 1
        # The first of each kind is kept in any case.
        if len(self.faults) < KEPT or count == 0:
            self.faults.append(fault)

    def exit_code(self, strict: bool) -> int:
        """0 for a whole trail; else that of the worst fault. `strict`: what is unsigned counts, too."""
        if self.counts:
            return min(self.counts)
        if strict and (self.unsigned or self.silent):
            return Kind.UNSIGNED
        return PURGED if self.purged else 0
