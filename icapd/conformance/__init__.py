"""The conformance bar as a kit: what RFC 3507, its errata and Squid ask of an ICAP server, each line a check.

`target` says where the server is, `conversation` speaks to it in exact bytes, `replies` reads what it
answers, with every fault noted. `lab` is what a check gets: connections, services, sample messages. The
checks stand in one module for each section of the bar, `registry` joins them, `kit` runs them.
"""

from icapd.conformance.check import Check, Level, Result, Status
from icapd.conformance.kit import find_services, run
from icapd.conformance.lab import Lab, Options
from icapd.conformance.registry import CHECKS
from icapd.conformance.target import Target

__all__ = [
    "CHECKS",
    "Check",
    "Lab",
    "Level",
    "Options",
    "Result",
    "Status",
    "Target",
    "find_services",
    "run",
]
