"""Where tables are printed."""

import os

from rich.console import Console

#: Columns of a table that goes to a file or a program; a terminal knows its own.
_WIDTH_WITHOUT_TERMINAL = 200


def console() -> Console:
    """Standard output, wide enough that a program finds names whole."""
    output = Console()
    if not output.is_terminal and "COLUMNS" not in os.environ:
        output.width = _WIDTH_WITHOUT_TERMINAL
    return output
