"""The ends of a transaction in which a page takes the place of the message."""

from icapd.icap import Method, Reply
from icapd.services import answers, block_page
from icapd.services.answers import Record, Step
from icapd.services.transaction import Transaction


def by_rules(transaction: Transaction, contact: str) -> list[Step]:
    """Blocked by the gravest of the rules that fired and are enforced."""
    enforced = [finding for finding in transaction.findings if finding.enforced]
    gravest = max(finding.action for finding in enforced)
    fired = dict.fromkeys(finding.rule_id for finding in enforced if finding.action is gravest)
    messages = [rule.rule.block_message for rule in transaction.policy.rules if rule.id in fired]
    page = block_page.blocked_by_rules(transaction.txn_id, fired, messages, _subject(transaction), contact)
    return _blocked(transaction, page)


def uninspected(transaction: Transaction, contact: str) -> list[Step]:
    """Blocked because it could not be inspected, for the reason that the transaction was marked with."""
    transaction.blocked_otherwise = True
    reason = transaction.skip_reason
    page = block_page.not_inspected(transaction.txn_id, reason, _subject(transaction), contact)
    return _blocked(transaction, page)


def unrecorded(transaction: Transaction, contact: str) -> list[Reply]:
    """Blocked because its record could not be written: so there is none before the page."""
    page = block_page.not_recorded(transaction.txn_id, _subject(transaction), contact)
    return _page(transaction, page)


def _blocked(transaction: Transaction, page: block_page.Block) -> list[Step]:
    """In REQMOD the page satisfies the request (RFC 3507 section 3.1)."""
    transaction.disposition = "blocked"
    if transaction.request.method is Method.REQMOD:
        transaction.http_status = page.status
    return [Record("final"), *_page(transaction, page)]


def _page(transaction: Transaction, page: block_page.Block) -> list[Reply]:
    head, body = block_page.render(page, transaction.request.request_head)
    return answers.message(transaction, head, bool(body), body)


def _subject(transaction: Transaction) -> str:
    return "request" if transaction.request.method is Method.REQMOD else "response"
