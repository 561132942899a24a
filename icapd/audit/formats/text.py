"""Text that someone else wrote, where a terminal, a log or a spreadsheet would take it for a command."""

#: What makes a spreadsheet compute: also the wide forms, which some take for the same.
_FORMULAS = (
    *"=+-@",
    "\N{FULLWIDTH EQUALS SIGN}",
    "\N{FULLWIDTH PLUS SIGN}",
    "\N{FULLWIDTH HYPHEN-MINUS}",
    "\N{FULLWIDTH COMMERCIAL AT}",
)


def printable(text: str) -> str:
    """The text with every character that is not printed (controls, direction marks ...) as its escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def cell(value: object) -> object:
    """A value for a spreadsheet: printable, and with an apostrophe before what would be a formula."""
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if text.lstrip().startswith(_FORMULAS) else text
