"""The hot path compiled by mypyc (setup.py): the same tests hold for it, and it serves."""

import sys
import zipfile
from pathlib import Path

import pytest
from support.icapd import ICAPD, serving
from support.wheels import ROOT, build_wheel, run

pytestmark = pytest.mark.slow

#: Of what is compiled, whatever needs no process: the codec, HTTP, the inspection, the services, sessions.
TESTS = (
    "tests/icap",
    "tests/http",
    "tests/inspection",
    "tests/services",
    "tests/policy/test_ruleset_scan.py",
    "tests/audit/test_audit_storable.py",
    "tests/server/test_session_conversations.py",
    "tests/server/test_turns.py",
)
COMPILED = "import icapd.{0} as module; print(module.__file__)"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory that holds the compiled package."""
    wheel = build_wheel(tmp_path_factory.mktemp("compiled"), {"ICAPD_COMPILE": "1"})
    directory = tmp_path_factory.mktemp("package")
    zipfile.ZipFile(wheel).extractall(directory)
    return directory


@pytest.mark.parametrize(
    "module", ["icap.connection", "http.headers", "inspection.window", "services.adaptation", "server.turns"]
)
def test_module_is_machine_code_with_its_source_beside_it(package: Path, module: str) -> None:
    loaded = Path(run(sys.executable, "-c", COMPILED.format(module), environment=first(package)).strip())
    assert loaded.suffix == ".so"
    assert loaded.is_relative_to(package)
    assert (loaded.parent / f"{module.rpartition('.')[2]}.py").exists()


def test_same_tests_hold_for_it(package: Path) -> None:
    command = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow", *TESTS)
    said = run(*command, cwd=ROOT, environment=first(package))
    assert " passed" in said and " failed" not in said


@pytest.mark.parametrize("engine", ["asyncio", "pyicap"])
def test_server_holds_every_line_of_the_bar(package: Path, tmp_path: Path, engine: str) -> None:
    text = f'[server]\nlisten = "127.0.0.1:0"\nhttp_listen = ""\nengine = "{engine}"\n'
    # By the shipped rules, as the kit expects.
    text += "[policy]\n"
    with serving(tmp_path, text, environment=first(package)) as server:
        said = run(ICAPD, "conformance", f"icap://127.0.0.1:{server.port}", environment=first(package))
        assert "failed" not in said
        assert server.stop() == 0


def first(package: Path) -> dict[str, str]:
    """It comes before the package of the checkout, also where that is the working directory."""
    return {"PYTHONPATH": str(package), "PYTHONSAFEPATH": "1"}
