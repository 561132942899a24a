"""The state directory of the demonstration: what it holds, and how it comes to be."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from importlib import resources
from pathlib import Path

from icapd.audit import migrations
from icapd.errors import ConfigurationError
from icapd.fleet import shipped
from icapd.fleet.ca import CERTIFICATE_FILE, DEFAULT_LIFETIME, KEY_FILE, CertificateAuthority
from icapd.fleet.demo_origin import HOST, LOOPBACK
from icapd.fleet.files import write_atomically
from icapd.fleet.squid import SQUID_USER, create_certificate_store
from icapd.fleet.squid_conf import Destination, SquidParameters, render_squid_conf

Say = Callable[[str], None]


def silent(_progress: str) -> None:
    """Says nothing."""


#: Where Squid's files go when its user can't reach the state directory, as below /root.
_REACHABLE = Path("/var/lib/icapd")

_ICAPD_TOML = """\
# Written anew by scripts/run at each start, from its flags. The rules are yours to edit: rules/*.toml

[server]
listen = "{icap}"
http_listen = "{http}"
workers = {workers}

[policy]
directory = "rules"

[audit]
database_url = "sqlite:///icapd.db"
fingerprint_key = "fingerprint.key"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """One demonstration: its directory, its ports, and where its clients may go."""

    #: Absolute.
    state: Path
    proxy_port: int = 3128
    icap_port: int = 1344
    http_port: int = 9344
    workers: int = 1
    #: Private CAs of upstreams.
    origin_cas: tuple[Path, ...] = ()
    allowed_destinations: tuple[Destination, ...] = ()

    @property
    def ca_certificate(self) -> Path:
        return self.state / CERTIFICATE_FILE

    @property
    def icapd_toml(self) -> Path:
        return self.state / "icapd.toml"

    @property
    def database_url(self) -> str:
        return f"sqlite:///{self.state / 'icapd.db'}"

    @property
    def squid_conf(self) -> Path:
        return self.state / "squid.conf"

    @property
    def log(self) -> Path:
        return self.state / "log"


def prepare(options: DemoOptions, say: Say = silent) -> None:
    """Make what is missing, keep what is there: CA, database, rules that were edited.

    icapd.toml and squid.conf follow the options and are written each time. Raises ConfigurationError.
    """
    try:
        options.log.mkdir(parents=True, exist_ok=True)
        _prepare_ca(options.state, say)
        for name in shipped.refresh(options.state, _editable_files()):
            say(f"keeping {options.state / name}: it was edited")
        write_atomically(options.icapd_toml, _icapd_toml(options).encode())
        migrations.upgrade(options.database_url)
        _prepare_squid(options)
    except OSError as error:
        raise ConfigurationError(f"{error.filename or options.state}: {error.strerror}") from None


def _prepare_ca(state: Path, say: Say) -> None:
    now = datetime.now(UTC)
    if not (state / CERTIFICATE_FILE).exists():
        say(f"making a CA: {state / CERTIFICATE_FILE}")
        CertificateAuthority.create(now=now, lifetime=DEFAULT_LIFETIME).write(state)
    end = CertificateAuthority.load(state).certificate.not_valid_after_utc
    if end <= now:
        raise ConfigurationError(
            f"{state / CERTIFICATE_FILE}: ended on {end:%Y-%m-%d}; remove it and {KEY_FILE} for a new one"
        )


def _editable_files() -> dict[str, bytes]:
    rules = resources.files("icapd.rules")
    files = {
        f"rules/{file.name}": file.read_bytes() for file in rules.iterdir() if file.name.endswith(".toml")
    }
    for schema in rules.joinpath("schema").iterdir():
        files[f"rules/schema/{schema.name}"] = schema.read_bytes()
    return files | {"splice.txt": (resources.files("icapd.squid") / "splice.txt").read_bytes()}


def _icapd_toml(options: DemoOptions) -> str:
    return _ICAPD_TOML.format(
        icap=f"{LOOPBACK}:{options.icap_port}",
        http=f"{LOOPBACK}:{options.http_port}",
        workers=options.workers,
    )


def _prepare_squid(options: DemoOptions) -> None:
    directory = _squid_directory(options.state)
    parameters = SquidParameters(
        proxy_address=f"{LOOPBACK}:{options.proxy_port}",
        icap_address=f"{LOOPBACK}:{options.icap_port}",
        allowed_destinations=options.allowed_destinations,
        ca_certificate=options.ca_certificate,
        ca_key=options.state / KEY_FILE,
        origin_cas=options.origin_cas,
        splice_list=options.state / "splice.txt",
        certificate_store=directory / "certificates",
        run_directory=directory,
        log_directory=directory,
        pid_file=options.state / "squid.pid",
        hosts_file=directory / "hosts",
        shutdown_seconds=1,
    )
    write_atomically(options.squid_conf, render_squid_conf(parameters).encode())
    _make_squid_directory(directory)
    write_atomically(parameters.hosts_file, _hosts())
    create_certificate_store(parameters.certgen, parameters.certificate_store)
    for name in ("access.log", "icap.log", "cache.log"):
        _link(options.log / name, directory / name)
    if directory.parent != options.state:
        _link(options.state / "squid", directory)


def _squid_directory(state: Path) -> Path:
    """Where Squid keeps what it writes: in the state directory, or elsewhere when it could not get there."""
    within = (state, *state.parents)
    if os.geteuid() != 0 or all(directory.stat().st_mode & 0o001 for directory in within):
        return state / "squid"
    return _REACHABLE / sha256(os.fsencode(state)).hexdigest()[:16]


def _make_squid_directory(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:
        if directory.parent == _REACHABLE:
            # Whatever the umask.
            _REACHABLE.chmod(0o755)
        directory.chmod(0o755)
        shutil.chown(directory, SQUID_USER, SQUID_USER)


def _hosts() -> bytes:
    """The system's hosts, and the demonstration's origin, which has its name wherever this runs."""
    system = Path("/etc/hosts")
    hosts = system.read_bytes() if system.exists() else b""
    return hosts + f"\n{LOOPBACK} localhost {HOST}\n".encode()


def _link(link: Path, target: Path) -> None:
    link.unlink(missing_ok=True)
    link.symlink_to(target)
