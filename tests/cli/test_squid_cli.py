"""`icapd squid`: a configuration for this icapd, and Squid's word on it."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from icapd.cli import main


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def icapd(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_config_leads_to_the_icapd_of_the_settings(here: Path) -> None:
    (here / "icapd.toml").write_text('[server]\nlisten = "127.0.0.1:2344"\n')
    result = icapd("squid", "config", "--listen", "127.0.0.1:4128", "--client", "10.0.0.0/8")
    assert result.exit_code == 0, result.output
    assert "icap://127.0.0.1:2344/reqmod bypass=off" in result.output
    assert "http_port 127.0.0.1:4128 ssl-bump" in result.output
    assert "acl clients src 10.0.0.0/8\n" in result.output


def test_config_leads_to_the_tls_listener_where_its_ca_is_given(here: Path) -> None:
    (here / "icapd.toml").write_text(
        '[server]\nlisten_tls = "10.0.0.1:11344"\n[tls]\ncertificate = "icapd.pem"\n'
    )
    result = icapd("squid", "config", "--icap-tls-ca", "ca.pem", "--icap-tls-cert", "squid.pem")
    assert result.exit_code == 0, result.output
    assert f"icaps://10.0.0.1:11344/reqmod bypass=off tls-cafile={here}/ca.pem " in result.output
    assert f" tls-cert={here}/squid.pem\n" in result.output


def test_config_goes_into_a_file(here: Path) -> None:
    result = icapd("squid", "config", "--output", "squid.conf", "--allow-destination", "localhost:8443")
    assert (result.exit_code, result.output) == (0, "")
    assert "acl destination_1_port port 8443" in (here / "squid.conf").read_text()


def test_output_that_cannot_be_written_is_an_error() -> None:
    result = icapd("squid", "config", "--output", "no/such/directory/squid.conf")
    assert result.exit_code == 3
    assert "no/such/directory/squid.conf: can't be written" in result.output


@pytest.mark.parametrize(
    ("arguments", "exit_code", "problem"),
    [
        pytest.param(["--allow-destination", "localhost"], 2, "write HOST:PORT", id="no port"),
        pytest.param(["--ca", "with space.pem"], 3, "ca_certificate", id="path with a space"),
        pytest.param(["--client", "10.0.0.0/8\nhttp_access allow all"], 3, "clients", id="line break"),
    ],
)
def test_value_that_squid_conf_cannot_hold_is_refused(
    arguments: list[str], exit_code: int, problem: str
) -> None:
    result = icapd("squid", "config", *arguments)
    assert result.exit_code == exit_code
    assert problem in result.output


@pytest.mark.squid
def test_written_configuration_is_taken_by_squid(here: Path) -> None:
    icapd("ca", "init")
    (here / "splice.txt").write_text(".bank.example\n")
    options = ["--ca", "ca.pem", "--ca-key", "ca.key", "--splice-list", "splice.txt", "--origin-ca", "ca.pem"]
    assert icapd("squid", "config", *options, "--output", "squid.conf").exit_code == 0
    checked = icapd("squid", "check", "squid.conf")
    assert (checked.exit_code, checked.output) == (0, "squid.conf: Squid takes it\n")


@pytest.mark.squid
def test_complaints_of_squid_are_printed(here: Path) -> None:
    (here / "squid.conf").write_text("no_such_directive on\n")
    checked = icapd("squid", "check", "squid.conf")
    assert checked.exit_code == 3
    assert "no_such_directive" in checked.output
    assert "squid.conf: Squid does not take it as it is" in checked.output
