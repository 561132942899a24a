"""The Squid program: finding it, asking it about a configuration, preparing what it needs."""

import os
import shutil
import subprocess
from pathlib import Path

from icapd.errors import ConfigurationError

#: Debian's Squid gives up root for this user.
SQUID_USER = "proxy"

#: Where Squid is when the PATH of an ordinary user doesn't lead there.
_SYSTEM_PATH = "/usr/local/sbin:/usr/sbin:/sbin"

#: What the lines of `squid -k parse` that matter have in them.
_COMPLAINTS = ("ERROR", "FATAL", "WARNING", "BUNGLED", "unrecognized")

_PARSE_TIMEOUT = 60.0  # seconds; ACLs with names may wait for DNS


def find_squid() -> Path:
    """Squid's binary; ConfigurationError when there is none."""
    found = shutil.which("squid", path=f"{os.environ.get('PATH', '')}:{_SYSTEM_PATH}")
    if found is None:
        raise ConfigurationError("squid is not installed; on Debian: apt-get install squid-openssl")
    return Path(found)


def has_ssl_bump(squid: Path) -> bool:
    """Whether this Squid can decrypt: Debian's package `squid` is built with GnuTLS and can't."""
    version = _run([str(squid), "-v"])
    return "--with-openssl" in version.stdout


def check_squid_conf(conf: Path) -> list[str]:
    """What is wrong with a squid.conf, by Squid's own word; empty when it would run."""
    squid = find_squid()
    if not conf.is_file():
        raise ConfigurationError(f"{conf}: is not a file")
    if not has_ssl_bump(squid):
        return [f"{squid}: is built without OpenSSL and can't decrypt; on Debian install squid-openssl"]
    parsed = _run([str(squid), "-k", "parse", "-f", str(conf.absolute())])
    lines = parsed.stderr.splitlines()
    complaints = [line for line in lines if any(word in line for word in _COMPLAINTS)]
    if parsed.returncode and not complaints:
        complaints = [*lines[-1:], f"{squid} -k parse ended with {parsed.returncode}"]
    return complaints


def create_certificate_store(certgen: Path, store: Path) -> None:
    """Make the directory in which Squid keeps minted certificates, unless it is there.

    As root it is made for the user that Squid runs as.
    """
    if store.exists():
        return
    user = SQUID_USER if os.geteuid() == 0 else None
    command = [str(certgen), "-c", "-s", str(store), "-M", "4MB"]
    try:
        made = _run(command, user=user)
    except OSError as error:
        raise ConfigurationError(f"{certgen}: can't be run: {error.strerror}") from None
    if made.returncode:
        raise ConfigurationError(f"{store}: can't be made: {(made.stderr or made.stdout).strip()}")


def _run(command: list[str], user: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a Squid program to its end; the arguments are ours or the operator's own."""
    return subprocess.run(  # noqa: S603
        command,
        user=user,
        group=user,
        extra_groups=[] if user else None,
        capture_output=True,
        text=True,
        timeout=_PARSE_TIMEOUT,
        check=False,
    )
