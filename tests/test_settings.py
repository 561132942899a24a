"""Settings: every source, every kind of mistake, and an example file that can't drift."""

import itertools
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from icapd.configuration import load_settings
from icapd.errors import ConfigurationError
from icapd.settings import Settings, split_address

EXAMPLE = Path(__file__).parent.parent / "icapd.example.toml"


def load(tmp_path: Path, text: str = "", environment: dict[str, str] | None = None, **flags: Any) -> Settings:
    path = tmp_path / "icapd.toml"
    path.write_text(text)
    return load_settings(
        path, environment or {}, {key.replace("__", "."): value for key, value in flags.items()}
    )


def test_example_shows_every_key_with_its_default() -> None:
    defaults = msgspec.json.decode(msgspec.json.encode(Settings()))
    assert tomllib.loads(EXAMPLE.read_text("utf-8")) == defaults


def test_every_key_of_the_example_is_explained() -> None:
    lines = EXAMPLE.read_text("utf-8").splitlines()
    for before, line in itertools.pairwise(lines):
        if "=" in line and not line.startswith("#"):
            assert before.startswith("# "), line


def test_flags_come_before_variables_and_variables_before_the_file(tmp_path: Path) -> None:
    text = '[server]\nlisten = "127.0.0.1:1"\nhttp_listen = "127.0.0.1:1"\nmax_connections = 1\n'
    environment = {"ICAPD_SERVER_HTTP_LISTEN": "127.0.0.1:2", "ICAPD_SERVER_MAX_CONNECTIONS": "2"}
    server = load(tmp_path, text, environment, server__max_connections=3).server
    assert (server.listen, server.http_listen, server.max_connections) == ("127.0.0.1:1", "127.0.0.1:2", 3)


def test_flag_that_was_not_given_changes_nothing(tmp_path: Path) -> None:
    assert load(tmp_path, server__listen=None) == load(tmp_path)


def test_paths_are_taken_from_the_directory_of_the_file(tmp_path: Path) -> None:
    settings = load(tmp_path, '[policy]\ndirectory = "rules"\n')
    assert settings.policy.directory == str(tmp_path / "rules")
    assert settings.audit.database_url == f"sqlite:///{tmp_path}/icapd.db"
    assert settings.audit.fingerprint_key == str(tmp_path / "fingerprint.key")


def test_absolute_paths_and_other_databases_stay(tmp_path: Path) -> None:
    text = '[audit]\ndatabase_url = "postgresql+psycopg://h/db"\nfingerprint_key = "/k"\n'
    audit = load(tmp_path, text).audit
    assert (audit.database_url, audit.fingerprint_key) == ("postgresql+psycopg://h/db", "/k")


MISTAKES = [
    ("[server]\nlisten = 1344\n", "server.listen: Expected `str`, got `int`"),
    ('[server]\nlistne = "x"\n', '[server]: key "listne" is unknown (did you mean "listen"?)'),
    ("[sever]\n", 'section "sever" is unknown (did you mean "server"?)'),
    ("server = 1\n", "server: Expected `object`, got `int`"),
    ("[server\n", "is not TOML"),
    ("[audit]\nretention_found = -1\n", "audit.retention_found: must be 0 or more"),
    ("[audit]\nretention_found = 400\n", "audit.retention_found: must be at least retention_allowed"),
    (
        "[audit]\nretention_allowed = 90\nretention_found = 400\nretention_admin = 300\n",
        "audit.retention_admin: must be at least retention_found",
    ),
    ("[server]\nworkers = -1\n", "server.workers: must be 0 or more"),
    ("[server]\nmax_connections_per_peer = -1\n", "server.max_connections_per_peer: must be 0 or more"),
    ('[server]\nallow_from = ["10.0.0.1/8"]\n', "server.allow_from: must be networks such as"),
    ('[server]\nallow_from = ["unix"]\n', "server.allow_from: must be networks such as"),
    ('[server]\nlisten_tls = "127.0.0.1:11344"\n', "tls.certificate: is needed for server.listen_tls"),
    ('[services]\nvia = "a b"\n', "services.via: must be letters"),
    ('[server]\nlisten = "1344"\n', "server.listen: must be HOST:PORT, not '1344'"),
    ('[server]\nlisten = "h:99999"\n', "server.listen: must be HOST:PORT"),
    ('[server]\nlisten = ""\n', "server.listen: nothing is listened on"),
    ('[server]\nengine = "twisted"\n', "server.engine: Invalid enum value 'twisted'"),
    ("[limits]\nmax_drain = 0\n", "limits.max_drain: must be more than 0, not 0"),
    ("[limits]\nscan_timeout = -1.0\n", "limits.scan_timeout: must be more than 0"),
    ("[server]\nidle_timeout = nan\n", "server.idle_timeout: must be more than 0"),
    ("[services]\npreview = 100000\n", "services.preview: must be at most 65536"),
    (
        '[services]\nreqmod_fail_mode = "maybe"\n',
        "services.reqmod_fail_mode: Invalid enum value 'maybe' (one of: open, closed)",
    ),
]


@pytest.mark.parametrize(("text", "message"), MISTAKES)
def test_mistake_in_the_file_is_named_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, text)
    assert str(tmp_path / "icapd.toml") in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("ICAPD_SERVER_LISTNE", "x", 'variable ICAPD_SERVER_LISTNE: key "listne" is unknown'),
        ("ICAPD_SEVER_LISTEN", "x", 'variable ICAPD_SEVER_LISTEN: section "sever" is unknown'),
        ("ICAPD_AUDIT_FAIL_MODE", "opne", "'opne' (one of: open, closed)"),
        ("ICAPD_SERVER_MAX_CONNECTIONS", "many", "variable ICAPD_SERVER_MAX_CONNECTIONS: Expected `int`"),
    ],
)
def test_mistake_in_a_variable_names_it(tmp_path: Path, variable: str, value: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match="variable") as caught:
        load(tmp_path, environment={variable: value})
    assert message in str(caught.value)


def test_mistake_in_the_file_is_not_blamed_on_a_variable(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"icapd\.toml: server\.workers"):
        load(tmp_path, "[server]\nworkers = -2\n", {"ICAPD_SERVER_LISTEN": "127.0.0.1:1"})


def test_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"gone\.toml: can't be read: No such file"):
        load_settings(tmp_path / "gone.toml", {})


def test_variable_that_names_the_file_is_no_setting(tmp_path: Path) -> None:
    assert load(tmp_path, environment={"ICAPD_CONFIG": "/x", "PATH": "/y"}) == load(tmp_path)


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("127.0.0.1:1344", ("127.0.0.1", 1344)),
        ("[::1]:0", ("::1", 0)),
        ("localhost:80", ("localhost", 80)),
        (":80", None),
        ("host", None),
        ("host:", None),
        ("[::1:80", None),
        ("a]:80", None),
        ("[]:80", None),
        ("a..b:80", None),
        ("x" * 64 + ":80", None),
        ("host:x", None),
        ("host:-1", None),
        ("host:65536", None),
        ("host:\u0661", None),
    ],
)
def test_addresses(address: str, parts: tuple[str, int] | None) -> None:
    assert split_address(address) == parts
