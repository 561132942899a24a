"""One run of libFuzzer over one target, in a process of its own.

usage: python -m support.fuzz_worker TARGET PROGRAM [option of libFuzzer | directory]...
"""

import logging
import sys

import atheris
import structlog

with atheris.instrument_imports(include=["icapd"]):
    from support.fuzz_targets import TARGETS


def main() -> None:
    """libFuzzer ends the process itself."""
    _, target, *arguments = sys.argv
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    atheris.Setup(arguments, TARGETS[target])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
