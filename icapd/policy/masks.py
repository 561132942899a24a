"""What stands where a secret stood: the key `mask`."""

from typing import NamedTuple

from icapd.policy.rule import MaskName, Rule

#: What a redacted secret becomes, where its rule says nothing else.
REPLACEMENT = b"[REDACTED]"
# Characters that `keep-last-4` shows at most; of a short secret a quarter.
_MAX_SHOWN = 4
_HIDDEN = b"****"


class Mask(NamedTuple):
    """What one secret becomes, wherever and however it is spelled."""

    style: MaskName = "redacted"
    #: For `label`: the whole of it.
    label: bytes = REPLACEMENT
    #: For `keep-last-4`: the most characters that may be shown of this secret.
    shown: int = 0
    #: For `same-length`.
    characters: int = 0

    def over(self, spelling: bytes, *, is_all: bool = True) -> bytes:
        """What a spelling of the secret becomes; `is_all`: it is not only a part of it."""
        match self.style:
            case "label":
                return self.label
            case "keep-last-4":
                return _HIDDEN + self._tail(bytes(byte for byte in spelling if _is_plain(byte)), spelling)
            case "same-length":
                return b"*" * (self.characters if is_all else _characters(spelling))
        return REPLACEMENT

    def over_number(self, spelling: bytes) -> bytes:
        """The same for digits in JSON that must stay a number: without a 0 in front, blanks behind."""
        match self.style:
            case "keep-last-4" if spelling.isdigit():
                return self._tail(spelling, spelling).lstrip(b"0") or b"0"
            case "same-length":
                return b"0".ljust(len(spelling))
        return b"0"

    def _tail(self, visible: bytes, spelling: bytes) -> bytes:
        """An escape may spell one character by many, or the other way round: a quarter of the shorter."""
        shown = min(self.shown, len(spelling) // 4)
        return visible[max(0, len(visible) - shown) :] if shown else b""


#: The mask of nearly every rule.
REDACTED = Mask()


def mask_of(rule: Rule, secret: bytes, tag: str) -> Mask:
    """The rule's mask for a secret. `tag`: tells secrets apart, without which nothing is known of them."""
    match rule.mask:
        case "redacted":
            return REDACTED
        case "label":
            name = rule.id.partition(".")[2]
            return Mask("label", label=f"[REDACTED:{name}:{tag}]".encode())
        case "keep-last-4":
            return Mask("keep-last-4", shown=min(_MAX_SHOWN, len(secret) // 4))
        case "same-length":
            return Mask("same-length", characters=_characters(secret))


def _characters(text: bytes) -> int:
    """Characters of UTF-8; a byte that is none stands for itself."""
    return len(text.decode("utf-8", "surrogateescape"))


def _is_plain(byte: int) -> bool:
    """An ASCII letter or digit: what needs no escape in any format."""
    return byte < 0x80 and chr(byte).isalnum()
