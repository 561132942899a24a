"""Stretches of numbers that went: which rows are proved to be what they were, and what meets becomes one."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from icapd.audit import canonical
from icapd.audit.evidence.purges import Purge
from icapd.audit.evidence.rows import Link


def proved(
    writer_id: int,
    links: Sequence[Link],
    before: Mapping[int, object],
    signed: Mapping[int, bytes],
    now: int,
) -> tuple[list[Link], list[Purge]]:
    """The rows that are what they were, each with the statement of it alone, without a note.

    `links` are in the order of their numbers. `before`: the chains of rows before, those of `links` apart;
    `signed`: the chains that something signed has, by number.

    A row whose chain does not follow from the row before, or is not the signed one, is none of them: whoever
    moves a row to another time, makes one look harmless or makes chains anew must not have that purged.
    """
    chains = {0: canonical.BEGINNING, **before, **{link.seq: link.chain for link in links}}
    count = Counter(link.seq for link in links)
    rows, pieces = [], []
    for link in links:
        previous, chain = chains.get(link.seq - 1), link.chain
        if link.form is None or link.seq < 1 or count[link.seq] > 1 or not isinstance(previous, bytes):
            continue
        follows = canonical.next_link(previous, link.form)
        if chain == follows == signed.get(link.seq, follows):
            rows.append(link)
            pieces.append(Purge(writer_id, link.seq, link.seq, previous, follows, now, link.is_end))
    return rows, pieces


def joined(pieces: Iterable[Purge]) -> Iterator[Purge]:
    """As few as say the same. One that says more than before has lost its note."""
    current: Purge | None = None
    for piece in sorted(pieces, key=lambda one: (one.first, -one.last)):
        if current is None or piece.first > current.last + 1:
            if current is not None:
                yield current
            current = piece
        elif piece.last > current.last:
            current = current._replace(
                last=piece.last,
                chain=piece.chain,
                is_end=piece.is_end,
                purged_at=max(piece.purged_at, current.purged_at),
                note="",
            )
    if current is not None:
        yield current
