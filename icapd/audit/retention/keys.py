"""Who signs the statements of retention, and whose word it takes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from icapd.audit.evidence.notes import Signer, Verifier, load_signer
from icapd.errors import AuditError


@dataclass(frozen=True, slots=True)
class Keys:
    """The key of the trail, and all public keys that are trusted: its own, and older ones."""

    signer: Signer
    verifiers: Mapping[bytes, Verifier] = field(repr=False)

    @classmethod
    def load(cls, signing_key: Path, older: Mapping[bytes, Verifier] | None = None) -> Self:
        """AuditError without a key: one that was made here would prove nothing."""
        if not signing_key.exists():
            raise AuditError(
                f"[audit] signing_key: {signing_key}: is not there; run this where the server runs, which"
                " makes it at its first start, or copy it from there"
            )
        signer = load_signer(signing_key)
        return cls(signer, {**(older or {}), signer.verifier.id: signer.verifier})
