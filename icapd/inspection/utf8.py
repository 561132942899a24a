"""The borders of characters in UTF-8 (RFC 3629 section 3)."""

#: Bytes of the longest character.
MAX_CHARACTER_LENGTH = 4


def character_start(text: bytes | bytearray, offset: int) -> int:
    """Where the character begins that the byte at `offset` continues; `offset` if it continues none."""
    start = offset
    while _continues(text[start]):
        start -= 1
        if start < 0 or start <= offset - MAX_CHARACTER_LENGTH:
            return offset
    return start if start + _announced_length(text[start]) > offset else offset


def whole_characters(text: bytes, start: int, end: int) -> tuple[int, int]:
    """The span from the first character that begins in it to the end of the last; maybe empty."""
    while start < end and character_start(text, start) < start:
        start += 1
    while start < end < len(text) and character_start(text, end) < end:
        end += 1
    return start, end


def _continues(byte: int) -> bool:
    return byte & 0xC0 == 0x80


def _announced_length(lead: int) -> int:
    if lead < 0xC0:
        return 1
    return 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
