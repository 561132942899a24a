"""HTTP trailers (RFC 9110 section 6.5) under the rules for header fields."""

from icapd.errors import ScanTimeout
from icapd.http.headers import Headers
from icapd.inspection import Inspector
from icapd.services.buffered import reason_of
from icapd.services.transaction import Transaction


def examined(trailers: Headers, inspector: Inspector, transaction: Transaction) -> Headers:
    """The trailers that may go on; none where telling takes too long."""
    if not trailers:
        return trailers
    try:
        examination = inspector.inspect_headers(trailers)
    except ScanTimeout as error:
        transaction.mark("partial", reason_of(error))
        return Headers()
    transaction.add_findings(examination.findings)
    return examination.headers
