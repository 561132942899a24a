"""One writer's rows against their chain, and against what is signed about them."""

from collections.abc import Callable, Iterable, Iterator

from icapd.audit import canonical
from icapd.audit.evidence.claims import ANCHORED, PURGED, Claim
from icapd.audit.evidence.faults import Fault, Kind, Report
from icapd.audit.evidence.rows import Link

#: Rows between two words of how far it is.
_STEP = 1000
_CHAIN_SIZE = 32


class Judgement:
    """Follows one writer's rows from number `first` on; the one before has to be there, but is not judged."""

    def __init__(
        self,
        writer_id: object,
        report: Report,
        claims: Iterator[Claim],
        *,
        first: int,
        shipped: int | None,
        is_gone: bool = False,
    ) -> None:
        """`shipped`: up to which number the rows are there, says audit_shipment; None when it has no row.

        `is_gone`: that row went along with all others of the writer, by retention.
        """
        self._writer_id = writer_id
        self._report = report
        self._first = first
        self._claims = claims
        self._claim = next(claims, None)
        self._shipped = shipped
        self._is_gone = is_gone
        #: Behind which number and up to which rows need not be there, by what was read of what is signed.
        self._purged_after = self._purged_to = 0
        #: Number and chain of the row before; no chain when nothing is known of it.
        self._last = max(0, first - 1)
        #: The table of that row; "" for one that its archive proves.
        self._place = ""
        self._chain = canonical.BEGINNING if first <= 1 else None
        #: Whether rows without a chain may be: those of an icapd that had none.
        self._may_lack_chains = shipped is None and self._claim is None
        self._is_end = False
        #: Up to which number something signed speaks for the rows, of those that are looked at.
        self._signed = max(0, first - 1)
        self._signed_end = False
        #: When the newest checkpoint was made; None when there is none.
        self.signed_at: int | None = None

    def follow(self, links: Iterable[Link], advance: Callable[[int], None]) -> None:
        """Compare row after row. `advance` is told every now and then by how many."""
        rows = erased = 0
        last, previous, is_begun, place = self._last, self._chain, self._chain is not None, self._place
        claimed = self._next_claimed()
        for seq, table, form, chain, problem, is_erased, is_end, is_archived, _, _ in links:
            rows += 1
            if rows % _STEP == 0:
                advance(_STEP)
            if table == "audit_finding" or seq < 1:
                self._tell(Kind.ALTERED, seq, table, problem or "its number is none")
                continue
            if not is_begun:
                # The row before the part that is looked at; or the first of that, if the other was purged.
                is_begun, last = True, seq - 1
                if seq >= self._first and chain is not None:
                    previous = self._pass_over(self._first - 2, seq, "" if is_archived else table)
            if chain is None and self._may_lack_chains:
                self._report.unchained += 1
                last, previous = max(last, seq), None
                continue
            self._may_lack_chains = False
            if seq == last:
                self._tell(Kind.DUPLICATED, seq, table, "there is another row of that number")
                continue
            if seq > last + 1:
                self._tell_put_in(last, place)
                previous = self._pass_over(last, seq, "" if is_archived else table)
            if form is None:
                self._tell(Kind.ALTERED, seq, table, problem)
            elif chain is None:
                self._tell(Kind.ALTERED, seq, table, "its chain was taken off")
            elif previous is not None and canonical.next_link(previous, form) != chain:
                self._tell(Kind.ALTERED, seq, table, "is not what its chain says")
            last, self._is_end, place = seq, is_end, "" if is_archived else table
            previous = chain if isinstance(chain, bytes) and len(chain) == _CHAIN_SIZE else None
            erased += is_erased
            if seq >= claimed:
                self._compare(seq, chain, table)
                claimed = self._next_claimed()
            if is_archived and not self._purged_after <= seq <= self._purged_to:
                self._tell(Kind.MISSING, seq, table, "only its archive has it, and no purge took it")
        advance(rows % _STEP)
        self._last, self._chain, self._place = last, previous, place
        self._report.rows += rows
        self._report.erased += erased

    def conclude_part(self, end: int) -> None:
        """What can be said where the part ends: at a number that something signed speaks for."""
        self._tell_put_in(self._last, self._place)
        newest = self._pass_tail()
        if newest is not None and newest.seq > self._last:
            self._report.purged += end - self._last
            self._tell_missing(self._last, end + 1)
        # A stretch that was purged may go on behind it.
        self._report.purged -= max(0, self._last - end)

    def conclude(self) -> bool:
        """What can be said at the writer's end; returns whether its writer has ended."""
        self._tell_put_in(self._last, self._place)
        newest = self._pass_tail()
        last, shipped = self._last, self._shipped
        if newest is not None and newest.seq > last:
            what = "an anchor" if newest.place == ANCHORED else "a checkpoint"
            problem = f"{what} speaks for rows up to {newest.seq}; the last one that is there is {last}"
            self._tell(Kind.TRUNCATED, last + 1, newest.place, problem)
        elif shipped is not None and shipped > last:
            problem = f"rows up to {shipped} were shipped; the last one that is there is {last}"
            self._tell(Kind.TRUNCATED, last + 1, "audit_shipment", problem)
        if not self._may_lack_chains:
            if shipped is None and not self._is_gone:
                self._tell(Kind.MISSING, last, "audit_shipment", "the row that says how far it is shipped")
            elif shipped is not None and shipped < last:
                self._tell(Kind.ALTERED, shipped + 1, "audit_shipment", "a row that was never shipped")
            self._report.unsigned += max(0, last - self._signed)
            if last > self._signed:
                self._conclude_unsigned()
        return self._is_end or self._may_lack_chains

    def _conclude_unsigned(self) -> None:
        """The last row of a writer comes with its checkpoint, in one transaction."""
        if self._signed_end:
            problem = "a row behind the signed end of its writer"
            self._tell(Kind.ALTERED, self._signed + 1, "audit_checkpoint", problem)
        elif self._is_end:
            self._tell(Kind.MISSING, self._last, "audit_checkpoint", "the checkpoint of its writer's end")

    def _next_claimed(self) -> float:
        """The number that the next claim is about."""
        return float("inf") if self._claim is None else self._claim.seq

    def _compare(self, seq: int, chain: object, table: str) -> None:
        """With all claims up to that number; those below it are about rows that are missing."""
        while self._claim is not None and self._claim.seq <= seq:
            claim = self._claim
            if claim.seq == seq:
                if claim.chain != chain:
                    self._tell(Kind.ALTERED, seq, table, f"{claim.place} has another chain for it")
                self._signed, self._signed_end = seq, self._is_end
            self._next()

    def _pass_over(self, last: int, seq: int, table: str) -> bytes | None:
        """Over the numbers between two rows; returns the chain of the one before `seq`, if that is signed.

        `table`: that the row of that number is in; "" for one that its archive proves.
        """
        reached, chain = max(last, min(self._purged_to, seq - 1)), None
        is_whole = True
        while self._claim is not None and self._claim.seq < seq:
            claim = self._claim
            if claim.purged_to:
                if claim.seq > reached:
                    is_whole = self._tell_missing(reached, claim.seq + 1)
                reached = max(reached, min(claim.purged_to, seq - 1))
            else:
                self._signed, self._signed_end = claim.seq, claim.is_end
                chain = claim.chain if claim.seq == seq - 1 else None
            self._next()
        if reached < seq - 1:
            is_whole = self._tell_missing(reached, seq)
        elif chain is None and is_whole and table:
            self._tell(Kind.ALTERED, seq, table, "nothing proves it: the rows before it were purged")
        self._report.purged += seq - 1 - last
        return chain

    def _pass_tail(self) -> Claim | None:
        """Over what was purged behind the last row; returns the newest claim about what is not there."""
        newest = None
        reached = max(self._last, self._purged_to)
        while self._claim is not None:
            claim = self._claim
            if claim.purged_to:
                if claim.seq > reached:
                    self._tell_missing(reached, claim.seq + 1)
                reached = max(reached, claim.purged_to)
            elif claim.place == PURGED:
                self._signed, self._signed_end = claim.seq, claim.is_end
            else:
                newest = claim
                if claim.seq <= reached:
                    self._signed = max(self._signed, claim.seq)
            self._next()
        if reached > self._last:
            self._report.purged += reached - self._last
            self._last, self._is_end = reached, self._signed_end
        return newest

    def _next(self) -> None:
        if self._claim is not None:
            if self._claim.purged_to > self._purged_to:
                self._purged_after, self._purged_to = self._claim.seq, self._claim.purged_to
            if self._claim.place != PURGED:
                self.signed_at = max(self._claim.signed_at, self.signed_at or 0)
        self._claim = next(self._claims, None)

    def _tell_put_in(self, last: int, place: str) -> None:
        """Of the last row before a gap within a stretch that was purged: only with its end it is proved."""
        if place and self._purged_after < last < self._purged_to:
            rows = f"rows {self._purged_after + 1} to {self._purged_to}"
            self._tell(Kind.ALTERED, last, place, f"nothing proves it: {rows} were purged")

    def _tell_missing(self, last: int, seq: int) -> bool:
        """That what lies between is not there, nor purged; returns False."""
        # It is counted as purged with the whole.
        self._report.purged -= seq - 1 - last
        which = f"rows {last + 1} to {seq - 1}" if seq - last > 2 else f"row {last + 1}"
        self._tell(Kind.MISSING, last + 1, "", f"{which}: not there")
        return False

    def _tell(self, kind: Kind, seq: int, place: str, problem: str) -> None:
        self._report.add(Fault(kind, self._writer_id, seq, place, problem))
