"""icapd.toml, `ICAPD_*` variables and flags -> one frozen Settings.

Each section is a struct, each field a key; a key that no struct has is an error. Paths that are not absolute
are taken from the directory of the file.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

import msgspec

from icapd.errors import ConfigurationError

KiB = 1024
MiB = 1024 * KiB

#: The variables that no key stands behind.
_OTHER_VARIABLES = frozenset({"ICAPD_CONFIG"})

FailMode = Literal["open", "closed"]


class Server(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[server]: where icapd listens, and how much it takes on."""

    #: ICAP listener, HOST:PORT.
    listen: str = "127.0.0.1:1344"
    #: /healthz, /readyz and /metrics, HOST:PORT; "" turns them off.
    http_listen: str = "127.0.0.1:9344"
    #: Processes that serve. One for now.
    workers: int = 1
    engine: Literal["asyncio"] = "asyncio"
    #: Connections at one time; OPTIONS tells Squid a third of it as Max-Connections of each service.
    max_connections: int = 1000
    #: Seconds a connection may stay silent between two requests. Squid closes its own after 60, so that it
    #: is Squid that closes and no request is lost in between.
    idle_timeout: float = 90.0
    #: Seconds within which a request's head must arrive once its first byte has.
    head_timeout: float = 30.0
    #: Seconds without a byte in either direction in the middle of a request. Squid stops reading while its
    #: own client is slow, and event streams are silent for long: minutes, not seconds.
    stall_timeout: float = 900.0
    #: Seconds that requests under way get at a stop.
    shutdown_timeout: float = 20.0


class PolicySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[policy]: where the rules are."""

    #: The directory of policy.toml and the packs; "" means those that came with icapd.
    directory: str = ""


class Audit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[audit]: where the records go."""

    #: SQLAlchemy URL. Serving writes SQLite.
    database_url: str = "sqlite:///icapd.db"
    #: File of the key for fingerprints of secrets; made at the first start, readable by its owner only.
    fingerprint_key: str = "fingerprint.key"
    #: SQLite's synchronous: `normal` survives the death of the process, `full` that of the machine as well.
    synchronous: Literal["normal", "full"] = "normal"
    #: What a message gets whose record can't be written: `closed` a block page, `open` its verdict.
    fail_mode: FailMode = "closed"


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[limits]: sizes in bytes, times in seconds."""

    #: An ICAP head. Squid keeps its own within 64 KiB.
    max_icap_head: int = 64 * KiB
    #: An encapsulated HTTP head. Squid's default for both directions is 64 KiB.
    max_http_head: int = 128 * KiB
    #: A body up to this size is held back until its verdict; a larger one is inspected as it flows.
    max_buffered_body: int = 1 * MiB
    #: A compressed body may become this large while it is held back; a larger one flows.
    max_decoded_body: int = 4 * MiB
    #: Decoded size over encoded size; beyond it a body is a decompression bomb and is inspected no further.
    max_coding_ratio: int = 200
    #: One server-sent event up to this size is seen whole; a larger one through the window.
    max_event_size: int = 1 * MiB
    #: What may still arrive behind a verdict before the connection is closed.
    max_drain: int = 64 * MiB
    #: Findings kept of one message. Redaction has no such limit.
    max_findings: int = 100
    #: Seconds all rules together may take over one text.
    scan_timeout: float = 1.0


class Services(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[services]: what becomes of messages that can't be inspected, and what Squid is told."""

    #: Bytes of a body that Squid sends before it waits for a verdict; the smallest answers fit whole.
    preview: int = 4096
    #: Seconds for which Squid keeps our OPTIONS.
    options_ttl: int = 600
    #: A request that can't be inspected whole: `open` passes it (its audit row says so), `closed` blocks it.
    reqmod_fail_mode: FailMode = "open"
    #: The same for a response.
    respmod_fail_mode: FailMode = "open"
    #: Whom a blocked person may ask; stands on the block page.
    contact: str = ""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that can be set."""

    server: Server = Server()
    policy: PolicySettings = PolicySettings()
    audit: Audit = Audit()
    limits: Limits = Limits()
    services: Services = Services()

    def checked(self, source: str) -> "Settings":
        """These settings; ConfigurationError for a value that can't be right."""
        for section, key, problem in self._problems():
            raise ConfigurationError(f"{source}: {section}.{key}: {problem}")
        return self

    def _problems(self) -> list[tuple[str, str, str]]:
        problems = []
        if self.server.workers != 1:
            problems.append(("server", "workers", "this version serves with one process; set it to 1"))
        for section, name in ((self.server, "server"), (self.limits, "limits"), (self.services, "services")):
            for key in section.__struct_fields__:
                value = getattr(section, key)
                if isinstance(value, int | float) and not value > 0 and key != "preview":
                    problems.append((name, key, f"must be more than 0, not {value}"))
        if not 0 <= self.services.preview <= 64 * KiB:
            problems.append(("services", "preview", "must be from 0 to 65536: Squid previews no more"))
        for key in ("listen", "http_listen"):
            value = getattr(self.server, key)
            if (value or key == "listen") and split_address(value) is None:
                problems.append(("server", key, f"must be HOST:PORT, not {value!r}"))
        return problems


_SECTIONS: dict[str, type[msgspec.Struct]] = {
    "server": Server,
    "policy": PolicySettings,
    "audit": Audit,
    "limits": Limits,
    "services": Services,
}


# Labels of a name are at most 63 characters (RFC 1035 section 2.3.4), and none is empty.
_ADDRESS = re.compile(
    r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<host>[\w-]{1,63}(?:\.[\w-]{1,63})*)):(?P<port>[0-9]{1,5})", re.ASCII
)


def split_address(address: str) -> tuple[str, int] | None:
    """HOST:PORT or [IPV6]:PORT taken apart; None when it is neither."""
    match = _ADDRESS.fullmatch(address)
    if match is None or int(match["port"]) > 65535:
        return None
    return match["host"] or match["ipv6"], int(match["port"])


def load_settings(
    path: Path | None, environment: Mapping[str, str] | None = None, flags: Mapping[str, Any] | None = None
) -> Settings:
    """The settings of a file (None: all defaults), overridden by `ICAPD_*` variables, then by flags.

    Variables are `ICAPD_SECTION_KEY`; `flags` are keyed `section.key`, and None is a flag that was not
    given. Raises ConfigurationError, naming the file or the variable, and the key.
    """
    environment = os.environ if environment is None else environment
    data = _read(path) if path is not None else {}
    source = str(path) if path is not None else "settings"
    settings = _convert(data, source).checked(source)
    for variable, value in environment.items():
        if variable.startswith("ICAPD_") and variable not in _OTHER_VARIABLES:
            section, key = _key_of_variable(variable)
            settings = _with_value(settings, section, key, value, f"variable {variable}")
    for name, value in (flags or {}).items():
        if value is not None:
            section, _, key = name.partition(".")
            settings = _with_value(settings, section, key, value, f"option --{key.replace('_', '-')}")
    return _with_absolute_paths(settings, path.parent if path is not None else Path.cwd())


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path}: can't be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: is not TOML: {error}") from None


def _convert(data: dict[str, Any], source: str) -> Settings:
    for section, keys in data.items():
        _check_name(section, Settings, source, "section")
        if isinstance(keys, dict):
            for key in keys:
                _check_name(key, _section_type(section), source, f"[{section}]: key")
    try:
        return msgspec.convert(data, Settings)
    except msgspec.ValidationError as error:
        # msgspec says "... - at `$.server.workers`".
        problem, _, place = str(error).partition(" - at `$.")
        place = place.rstrip("`")
        raise ConfigurationError(f"{source}: {place or 'file'}: {problem}{_choices(place)}") from None


def _choices(place: str) -> str:
    """What may stand at `section.key`, where that is one of a few words."""
    section, _, key = place.partition(".")
    if section not in _SECTIONS or not key:
        return ""
    words = get_args(get_type_hints(_SECTIONS[section]).get(key))
    return f" (one of: {', '.join(words)})" if words else ""


def _check_name(name: str, struct: type[msgspec.Struct], source: str, kind: str) -> None:
    if name not in struct.__struct_fields__:
        close = difflib.get_close_matches(name, struct.__struct_fields__, 1)
        hint = f' (did you mean "{close[0]}"?)' if close else ""
        known = ", ".join(struct.__struct_fields__)
        raise ConfigurationError(f'{source}: {kind} "{name}" is unknown{hint}; known: {known}')


def _section_type(section: str) -> type[msgspec.Struct]:
    return _SECTIONS[section]


def _key_of_variable(variable: str) -> tuple[str, str]:
    section, _, key = variable.removeprefix("ICAPD_").lower().partition("_")
    _check_name(section, Settings, f"variable {variable}", "section")
    _check_name(key, _section_type(section), f"variable {variable}", "key")
    return section, key


def _with_value(settings: Settings, section: str, key: str, value: object, source: str) -> Settings:
    """The same settings with one value set; text becomes what the key's type asks for."""
    old = getattr(settings, section)
    try:
        new = msgspec.convert({**msgspec.to_builtins(old), key: value}, type(old), strict=False)
    except msgspec.ValidationError as error:
        problem = str(error).partition(" - at")[0]
        raise ConfigurationError(f"{source}: {problem}{_choices(f'{section}.{key}')}") from None
    return msgspec.structs.replace(settings, **{section: new}).checked(source)


def _with_absolute_paths(settings: Settings, base: Path) -> Settings:
    policy, audit = settings.policy, settings.audit
    if policy.directory:
        policy = msgspec.structs.replace(policy, directory=str(base / policy.directory))
    url, prefix = audit.database_url, "sqlite:///"
    if url.startswith(prefix) and not url.startswith(prefix + "/"):
        url = prefix + str((base / url.removeprefix(prefix)).absolute())
    audit = msgspec.structs.replace(
        audit, database_url=url, fingerprint_key=str(base / audit.fingerprint_key)
    )
    return msgspec.structs.replace(settings, policy=policy, audit=audit)
