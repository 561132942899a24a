"""Whose word is taken for who sent a message."""

from icapd.http.headers import Headers
from icapd.inspection import Finding
from icapd.policy import Action
from icapd.services.identity import Identity, identity_of

#: The rule that no pack holds: someone who is not trusted said who its users are.
UNTRUSTED_IDENTITY = "icapd.untrusted-identity"


def trusted_identity(headers: Headers, trusted: bool, address: str) -> tuple[Identity, tuple[Finding, ...]]:
    """The identity for the audit row, and what is to be noted about it.

    `trusted`: whether the ICAP client's word is taken; otherwise its own `address` is all that is known, and
    an attempt to say more is a finding.
    """
    claimed = identity_of(headers)
    if trusted:
        return claimed, ()
    known = Identity(client_ip=address)
    return known, () if claimed == Identity() else (_FINDING,)


_FINDING = Finding(
    rule_id=UNTRUSTED_IDENTITY,
    severity="medium",
    action=Action.LOG,
    enforced=True,
    target="identity",
    start=0,
    end=0,
    excerpt="",
    fingerprint="",
    score=0,
)
