"""setuptools, which also asks for the compiler where one is wanted (PEP 517; setup.py says what for)."""

import os

from setuptools import build_meta
from setuptools.build_meta import (
    build_editable,
    build_sdist,
    build_wheel,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

#: Exactly one mypy: what it makes of the same source changes from release to release, and the tests ran with
#: this. It reads types from the others.
COMPILER = ["mypy==2.4.1", "msgspec", "types-regex"]


def get_requires_for_build_wheel(config_settings: dict[str, str | list[str]] | None = None) -> list[str]:
    """What setuptools needs, and the compiler for ICAPD_COMPILE=1."""
    wanted = COMPILER if os.environ.get("ICAPD_COMPILE") == "1" else []
    return [*build_meta.get_requires_for_build_wheel(config_settings), *wanted]
