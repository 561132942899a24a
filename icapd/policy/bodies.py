"""The [[body]] tables of a policy: those that find something are rules, the others name what is not read."""

import re
from dataclasses import dataclass

from icapd.policy.conditions import glob
from icapd.policy.policy_tables import Body
from icapd.policy.rule import Rule

#: The pack that their rules seem to be of; no file can have this name, for it is policy.toml's.
PACK = "policy"
# Of a media type as it is written: a name has 127 characters at most (RFC 6838 section 4.2).
_ANY = r"[^\s;]{0,127}"


@dataclass(frozen=True, slots=True)
class Skipped:
    """Bodies that are not read."""

    body: Body

    def applies(self, direction: str, essence: str, length: int | None) -> bool:
        """Whether to a body of this type and announced length (None: not announced)."""
        body = self.body
        return (
            body.direction in (direction, "both")
            and (body.over is None or (length is not None and length > body.over))
            and (not body.media_types or any(glob(word).match(essence) for word in body.media_types))
        )


def rule_of(body: Body) -> Rule | None:
    """The rule that finds such bodies; None where the table only says that they are not read."""
    if body.action == "skip":
        return None
    types = f" of {', '.join(body.media_types)}" if body.media_types else ""
    keys = {
        "id": f"{PACK}.{body.name}",
        "direction": body.direction,
        "action": body.action,
        "severity": body.severity,
        "score": body.score,
        "tags": ("policy",),
    }
    if body.over is not None:
        return Rule(
            description=f"Body{types} of more than {body.over} bytes",
            targets=("size",),
            max_size=body.over,
            media_types=body.media_types,
            **keys,  # type: ignore[arg-type]
        )
    words = "|".join(map(_pattern, body.media_types))
    return Rule(
        description=f"Body{types}",
        targets=("content-type",),
        pattern=rf"\A\s*+(?:{words})\s*+(?:;|\Z)",
        ignore_case=True,
        match=tuple(word.replace("*", "x").replace("?", "x") for word in body.media_types),
        **keys,  # type: ignore[arg-type]
    )


def _pattern(word: str) -> str:
    return re.escape(word).replace(r"\*", _ANY).replace(r"\?", r"[^\s;]")
