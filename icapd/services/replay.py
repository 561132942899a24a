"""A message judged once more: by another policy, through the same state machine, with nobody waiting."""

from dataclasses import dataclass, field, replace

from icapd.audit.record import Verdict
from icapd.icap import BodyData, BodyEnd, ModRequest
from icapd.services.answers import Step, Work
from icapd.services.body_memory import BodyMemory
from icapd.services.catalogue import Catalogue
from icapd.services.identity import Identity
from icapd.services.transaction import Transaction

#: Bytes: what one body may be, which is in memory already.
_ENOUGH = BodyMemory(2**40)


@dataclass(frozen=True, slots=True)
class Seen:
    """A message, whole: as it came, before anything was taken out of it."""

    request: ModRequest
    body: bytes = field(repr=False)
    identity: Identity
    #: Microseconds since the epoch.
    now_us: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a policy makes of a message."""

    #: What it wants.
    verdict: Verdict
    #: What of that it does: less than the verdict where rules only watch.
    effect: Verdict
    #: That fired, each once.
    rules: tuple[str, ...]


def judgement(transaction: Transaction) -> Judgement:
    """What a transaction came to."""
    rules = tuple(dict.fromkeys(finding.rule_id for finding in transaction.findings))
    return Judgement(transaction.verdict.verdict, transaction.effect.verdict, rules)


def replay(catalogue: Catalogue, seen: Seen) -> Judgement:
    """What the policy of these services makes of the message. KeyError: they have no such service."""
    service = catalogue.services[seen.request.path]
    request = replace(seen.request, preview=None, allow=frozenset({b"204", b"206"}))
    transaction = Transaction(request, catalogue.policy, seen.now_us, seen.identity)
    adaptation = service.adaptation(transaction, _ENOUGH)
    unseen = transaction.unseen(overloaded=False)
    _carry_out(adaptation.bypass(unseen) if unseen else adaptation.begin())
    if request.has_body:
        for event in (BodyData(seen.body), BodyEnd()):
            if not adaptation.is_done:
                _carry_out(adaptation.handle(event))
    return judgement(transaction)


def _carry_out(steps: list[Step]) -> None:
    """Do what is work; there is nobody to reply to."""
    for step in steps:
        if isinstance(step, Work):
            _carry_out(step.run())
