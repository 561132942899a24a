"""`icapd ca`: what it prints, and how it ends."""

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from icapd.cli import main
from icapd.fleet.ca import CertificateAuthority, fingerprint, load_certificate


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, so that no icapd.toml is found."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def icapd(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_init_writes_the_pair_and_prints_what_to_compare(here: Path) -> None:
    result = icapd("ca", "init", "--directory", "pki", "--days", "30")
    assert result.exit_code == 0, result.output
    assert stat.S_IMODE((here / "pki" / "ca.key").stat().st_mode) == 0o600
    certificate = load_certificate(here / "pki" / "ca.pem")
    assert certificate.not_valid_after_utc - datetime.now(UTC) > timedelta(days=29, hours=23)
    assert "pki/ca.pem" in result.output
    assert "pki/ca.key" in result.output
    assert f"SHA-256      {fingerprint(certificate)}" in result.output


def test_init_uses_the_working_directory_by_default(here: Path) -> None:
    assert icapd("ca", "init").exit_code == 0
    assert sorted(path.name for path in here.iterdir()) == ["ca.key", "ca.pem"]


def test_init_again_needs_force(here: Path) -> None:
    icapd("ca", "init")
    first = (here / "ca.pem").read_bytes()
    refused = icapd("ca", "init")
    assert refused.exit_code == 3
    assert "exists, and clients may trust it; --force replaces it" in refused.output
    assert (here / "ca.pem").read_bytes() == first
    assert icapd("ca", "init", "--force").exit_code == 0
    assert (here / "ca.pem").read_bytes() != first


@pytest.mark.parametrize("days", ["0", "-1", "3651", "soon"])
def test_lifetime_out_of_reason_is_a_usage_error(days: str) -> None:
    assert icapd("ca", "init", "--days", days).exit_code == 2


def test_show_tells_the_same_as_init(here: Path) -> None:
    made = icapd(
        "ca", "init", "--name", "Example Ltd", "--permit-dns", "example.com", "--permit-dns", "b.test"
    )
    shown = icapd("ca", "show")
    assert shown.exit_code == 0
    assert set(shown.output.splitlines()[1:]) <= set(made.output.splitlines())
    assert "subject      CN=Example Ltd" in shown.output
    assert "permits      example.com and below" in shown.output
    assert "permits      b.test and below" in shown.output


def test_show_does_not_need_the_key(here: Path) -> None:
    icapd("ca", "init")
    (here / "ca.key").unlink()
    assert icapd("ca", "show").exit_code == 0


def test_show_without_a_ca_names_the_file() -> None:
    result = icapd("ca", "show", "--directory", "nowhere")
    assert result.exit_code == 3
    assert "nowhere/ca.pem: can't be read: No such file or directory" in result.output


def test_show_of_a_ca_that_has_ended_says_so(here: Path) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=400)
    CertificateAuthority.create(now=long_ago, lifetime=timedelta(days=30)).write(here)
    result = icapd("ca", "show")
    assert result.exit_code == 3
    assert "ca.pem: has ended" in result.output
