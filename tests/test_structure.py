"""The structure that DESIGN and style promise, checked from the sources."""

import ast
from pathlib import Path

import pytest

import icapd

PACKAGE = Path(icapd.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))

#: Ground floor first; a module imports its own floor or lower, never up.
FLOORS = {
    "errors": 0,
    "settings": 0,
    "configuration": 0,
    "http": 1,
    "icap": 1,
    "policy": 2,
    "inspection": 3,
    "audit": 4,
    "services": 5,
    "server": 6,
    "fleet": 6,
    "conformance": 6,
    "cli": 7,
}
#: Doors to the outside: sockets, processes, signals. Only the floors of which it is the job open them.
DOORS = {"socket", "socketserver", "subprocess", "signal", "asyncio", "uvloop", "http.server", "wsgiref"}
WITH_DOORS = {"server", "fleet", "conformance", "audit", "cli"}
MAX_LINES = 300


def floor_of(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if parts[0] == "icapd" and len(parts) > 1 else None


def imports_of(source: Path) -> list[str]:
    names = []
    for node in ast.walk(ast.parse(source.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{source}: imports are absolute"
            assert node.module is not None
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def named(source: Path) -> str:
    return str(source.relative_to(PACKAGE.parent))


def home_of(source: Path) -> str:
    return source.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("source", SOURCES, ids=named)
def test_module_imports_its_own_floor_or_lower(source: Path) -> None:
    home = home_of(source)
    if home in {"__init__", "rules", "migrations", "squid"}:
        return
    for module in imports_of(source):
        floor = floor_of(module)
        if floor is not None and floor in FLOORS:
            assert FLOORS[floor] <= FLOORS[home], f"{named(source)} imports {module} from a floor above"


@pytest.mark.parametrize("source", SOURCES, ids=named)
def test_only_the_upper_floors_reach_outside(source: Path) -> None:
    if home_of(source) in WITH_DOORS:
        return
    outside = {module for module in imports_of(source) if module.split(".")[0] in DOORS or module in DOORS}
    assert not outside, f"{named(source)} is below the floors with sockets and processes"


@pytest.mark.parametrize("source", SOURCES, ids=named)
def test_file_can_be_held_in_the_head(source: Path) -> None:
    lines = source.read_text("utf-8").count("\n")
    assert lines <= MAX_LINES, f"{named(source)} has {lines} lines"


@pytest.mark.parametrize("source", SOURCES, ids=named)
def test_module_says_its_one_job(source: Path) -> None:
    assert ast.get_docstring(ast.parse(source.read_text("utf-8"))), f"{named(source)} has no docstring"
