"""How long to wait before a worker that died is started again."""

#: Seconds before the first start anew, doubled each time ...
FIRST_DELAY = 0.1
#: ... up to this many.
LONGEST_DELAY = 30.0
#: Seconds after which a worker counts as well: the next death is a first one again.
STEADY = 60.0


def delay(deaths: int) -> float:
    """Seconds to wait after so many deaths in a row."""
    # 2 ** 20 is beyond the longest already; a float has an end.
    return float(min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(deaths - 1, 20)))


def deaths_in_a_row(before: int, lived: float) -> int:
    """The count with one death more, of a process that had `lived` for so many seconds."""
    return 1 if lived >= STEADY else before + 1
