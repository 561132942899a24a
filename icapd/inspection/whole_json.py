"""JSON escapes of a whole text decoded in one go, by the codec of Python's own string literals.

Taking the text apart at its escapes costs ten times as much; that is left for texts in which something is
found, and for those that the codec would read in another way.
"""

from icapd.inspection.one_of import OneOf

_NUMBER, _SLASH, _BACKSLASH_AND_SLASH, _OTHER = range(4)
# Backslashes are not counted off in pairs here: at worst a text goes the long way without need.
_KINDS = OneOf(rb"\\u", rb"\\/", rb"\\\\/", rb'\\[^"\\/bfnrtu]')


def decode_whole(text: bytes) -> bytes | None:
    """The text with its JSON escapes decoded; None where that has to be done one by one."""
    kinds = _KINDS.occurring(text)
    if _OTHER in kinds or _BACKSLASH_AND_SLASH in kinds or (_NUMBER in kinds and not text.isascii()):
        return None
    if _SLASH in kinds:
        # The one escape of JSON that Python's literals don't have.
        text = text.replace(rb"\/", b"/")
    try:
        # Bytes outside ASCII pass through as characters of Latin-1.
        decoded = text.decode("unicode_escape")
        if _NUMBER not in kinds:
            return decoded.encode("latin-1")
        # Two escaped surrogates are one character; half of it keeps its place as three bytes.
        characters = decoded.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    except UnicodeDecodeError:
        # A backslash or a number breaks off.
        return None
    return characters.encode("utf-8", "surrogatepass")
