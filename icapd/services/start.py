"""The first bytes of a body under the rules on `magic`, before it is decided how to read the body."""

from collections.abc import Sequence

from icapd.errors import ScanTimeout
from icapd.http.heads import MessageHead
from icapd.inspection import Inspector
from icapd.services.buffered import reason_of
from icapd.services.examination import examine_magic
from icapd.services.transaction import Transaction


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
