"""UUID version 7 (RFC 9562 section 5.7): event ids that sort by the time at which they were made."""

import os
import time

_NANOSECONDS_PER_MS = 1_000_000
_VERSION = 7 << 76
_VARIANT = 0b10 << 62
_RAND_B = (1 << 62) - 1


def uuid7() -> str:
    """A new UUIDv7.

    Ids of one process sort in the order of their making as long as its clock does not step back and more
    than a quarter of a microsecond lies between them; others may change places, but never coincide.
    """
    return layout(time.time_ns(), int.from_bytes(os.urandom(8), "big"))


def layout(unix_ns: int, random: int) -> str:
    """The UUID of a time and 62 random bits.

    RFC 9562 section 6.2, method 3: rand_a holds the fraction of the millisecond in 1/4096, rand_b is random.
    """
    unix_ts_ms, remainder = divmod(unix_ns, _NANOSECONDS_PER_MS)
    rand_a = (remainder << 12) // _NANOSECONDS_PER_MS
    digits = f"{unix_ts_ms << 80 | _VERSION | rand_a << 64 | _VARIANT | random & _RAND_B:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
