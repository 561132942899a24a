"""How random a secret looks, measured over the alphabet that its generator draws from."""

import math
import string
from collections.abc import Callable, Sequence

# RFC 4648 sections 4 to 7; base 36 and 62 are what generators make of digits and letters.
_BASE62 = string.digits + string.ascii_letters
_ALPHABETS = {
    "digits": string.digits,
    "hex": string.digits + "abcdef",
    "base32": string.ascii_uppercase + "234567",
    "base36": string.digits + string.ascii_lowercase,
    "base62": _BASE62,
    "base64": _BASE62 + "+/-_",
}
# A generator writes a text in one case; capitals and small letters mixed would only seem to say more.
_WITHOUT_CASE: dict[str, Callable[[bytes], bytes]] = {
    "hex": bytes.lower,
    "base32": bytes.upper,
    "base36": bytes.lower,
}
#: The part of a secret that must be of the alphabet, for the rest may be separators and a prefix.
_MIN_SHARE = 0.75


def entropy(secret: Sequence[int]) -> float:
    """Shannon entropy in bits per byte: 0 for one repeated byte, about 4 for random hex, 6 for base64."""
    length = len(secret)
    if not length:
        return 0.0
    # The sum of p log p over p = count / length, with what does not change taken out of the loop.
    counts = map(secret.count, set(secret))
    return math.log2(length) - sum([count * math.log2(count) for count in counts if count > 1]) / length


def _over(name: str) -> Callable[[bytes], float]:
    """Entropy of the bytes that are of the alphabet; 0 when they are less than three quarters of the secret.

    A secret of n characters can't have more than log2(n) bits: 32 random hex digits come to 3.5 and more, 40
    random characters of base64 to 4.5.
    """
    alphabet = frozenset(_ALPHABETS[name].encode("ascii"))
    fold = _WITHOUT_CASE.get(name, bytes)

    def measure(secret: bytes) -> float:
        own = [byte for byte in fold(secret) if byte in alphabet]
        return entropy(own) if len(own) >= _MIN_SHARE * len(secret) else 0.0

    return measure


#: Names for `validator = "entropy(ALPHABET)>=minimum"`.
ENTROPIES: dict[str, Callable[[bytes], float]] = {f"entropy({name})": _over(name) for name in _ALPHABETS}
