"""Builds icapd; all about it stands in setup.cfg.

With ICAPD_COMPILE=1 mypyc makes machine code of the modules that every transaction runs through
(docs/decisions/0010-compiled.md). Their sources come along, and do the same where there is no such code.
"""

import os
import sys
from pathlib import Path
from typing import Any

from setuptools import setup

#: What a message passes on its way. Left out are `audit.record`, whose field types msgspec reads at run time,
#: and what derives from classes of other packages, which need not be there when this is compiled.
HOT = (
    "icapd/http/*.py",
    "icapd/icap/*.py",
    "icapd/inspection/*.py",
    "icapd/services/*.py",
    "icapd/policy/matching.py",
    "icapd/policy/prefilter.py",
    "icapd/policy/ruleset.py",
    "icapd/policy/text.py",
    "icapd/audit/instants.py",
    "icapd/audit/storable.py",
    "icapd/audit/uuid7.py",
    "icapd/server/engine.py",
    "icapd/server/session.py",
    "icapd/server/session_context.py",
    "icapd/server/turns.py",
)


def extensions() -> list[Any]:
    """The modules to compile; none unless that was asked for."""
    if os.environ.get("ICAPD_COMPILE") != "1":
        return []
    if "editable_wheel" in sys.argv:
        sys.exit(
            "ICAPD_COMPILE=1 is not for editable installs: what was compiled would go on running when its"
            " source has changed"
        )
    if "bdist_wheel" not in sys.argv:
        return []  # asked about itself only: the compiler need not be there yet
    from mypyc.build import mypycify  # noqa: PLC0415 (there only when something is to be compiled)

    sources = sorted(str(path) for pattern in HOT for path in Path().glob(pattern))
    options = ["--config-file=", "--ignore-missing-imports"]
    made: list[Any] = mypycify([*options, *sources], opt_level="3", debug_level="0")
    for extension in made:
        # Nobody reads warnings of C that a program wrote, and gcc takes nearly half of its time for them.
        extension.extra_compile_args.append("-Wno-all")
    return made


setup(ext_modules=extensions())
