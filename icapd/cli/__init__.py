"""The command line: parse, call, print, exit code."""

from icapd.cli.main import main

__all__ = ["main"]
