"""Random values as generators draw them, the same in every run."""

import random
import string
from datetime import UTC, datetime, timedelta

DIGITS = string.digits
HEX = "0123456789abcdef"
UPPER_HEX = "0123456789ABCDEF"
BASE32 = string.ascii_uppercase + "234567"
BASE36 = string.ascii_lowercase + string.digits
UPPER36 = string.ascii_uppercase + string.digits
BASE62 = string.ascii_letters + string.digits
BASE64 = BASE62 + "+/"
BASE64URL = BASE62 + "-_"
#: Bitcoin's: base 62 less what looks alike.
BASE58 = "".join(c for c in BASE62 if c not in "0OIl")

_WORDS = """
account amount archive balance batch branch browser button bucket calendar campaign channel city client
cluster color comment contact content country currency customer device discount document domain editor
event export feature field filter folder format gallery group history import invoice item label language
layout ledger library license list location manager market member message metric mobile model module
network notice number object offer option order owner page panel parcel partner payment period person
phone picture place plan player policy portal price print product profile project quality quantity query
record region release report request review reward role sale sample schedule school search season section
segment server service session setting shape shipment size snapshot source space staff stage status stock
storage store stream street style subject summary supply survey system table target task team template
tenant theme ticket title topic track trade travel trial unit update user vendor version video view
visitor volume wallet warehouse weather website widget window worker workspace zone
""".split()


class Draw:
    """Draws with one generator."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance

    def of(self, alphabet: str, length: int) -> str:
        return "".join(self.chance.choices(alphabet, k=length))

    def hex(self, length: int) -> str:
        return self.of(HEX, length)

    def digits(self, length: int) -> str:
        return self.of(DIGITS, length)

    def uuid(self) -> str:
        """Version 4 (RFC 9562 section 5.4)."""
        part = self.of
        return (
            f"{part(HEX, 8)}-{part(HEX, 4)}-4{part(HEX, 3)}-{part('89ab', 1)}{part(HEX, 3)}-{part(HEX, 12)}"
        )

    def words(self, count: int) -> str:
        return " ".join(self.chance.choices(_WORDS, k=count))

    def timestamp(self) -> str:
        moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.chance.randrange(20_000_000))
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
