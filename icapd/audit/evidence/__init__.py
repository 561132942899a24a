"""Evidence: signed statements of how far each writer's chain has come, and the check of the trail by them.

`notes` (a text with signatures, and the keys) -> `checkpoints` (what is stated, and when) -> `anchors`
(copies outside of the database); `purges` and `archives` are what retention states. The other way: `rows`
(the rows of a writer as the links of its chain), which a `reader` reads -> `judgement` (of one writer, by the
`claims` about it) -> `verify` (all of them), which tells `faults`.
"""

from pathlib import Path

from icapd.audit.evidence.anchors import anchors_for
from icapd.audit.evidence.checkpoints import Notary
from icapd.audit.evidence.notes import load_or_create_signer
from icapd.settings import Audit


def notary_for(audit: Audit) -> Notary:
    """As the settings have it. Raises AuditError."""
    anchors = anchors_for(audit.anchor_file, audit.anchor_syslog, audit.anchor_url)
    return Notary(load_or_create_signer(Path(audit.signing_key)), anchors)
