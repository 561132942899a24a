"""What comes before a body is read, under the rules: the head, and the first bytes of the body."""

from collections.abc import Sequence

from icapd.errors import ScanTimeout
from icapd.http.heads import MessageHead
from icapd.inspection import Inspector
from icapd.services.buffered import reason_of
from icapd.services.examination import examine_head, examine_magic
from icapd.services.transaction import Transaction


def examined_head(
    inspector: Inspector, transaction: Transaction, virgin: MessageHead, *, patient: bool
) -> tuple[MessageHead, str]:
    """The head as the rules leave it, and what kept them from it, in the words of the audit row.

    Notes what is found. Without patience, OutOfPatience is raised where it takes long.
    """
    request = transaction.request.request_head
    try:
        examination = examine_head(inspector, virgin, request, patient=patient)
    except ScanTimeout as error:
        return virgin, reason_of(error)
    transaction.add_findings(examination.findings)
    return examination.head, ""


def examined_start(
    inspector: Inspector, transaction: Transaction, head: MessageHead, codings: Sequence[str], sample: bytes
) -> bool:
    """Note what is found in the sample, which is still coded; False when telling took too long."""
    try:
        transaction.add_findings(examine_magic(inspector, head, codings, sample))
    except ScanTimeout as error:
        transaction.mark("partial", reason_of(error))
        return False
    return True
