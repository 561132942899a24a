"""icapd.toml, `ICAPD_*` variables and flags -> one frozen Settings.

A key that no struct has is an error. Paths that are not absolute are taken from the directory of the file.
"""

import difflib
import importlib.resources
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec

from icapd.errors import ConfigurationError
from icapd.settings import Settings

#: The variables that no key stands behind.
_OTHER_VARIABLES = frozenset({"ICAPD_CONFIG"})

_SECTIONS: dict[str, type[msgspec.Struct]] = get_type_hints(Settings)


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
    except RecursionError:
        raise ConfigurationError(f"{path}: arrays or tables in more arrays than can be read") from None


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
    if isinstance(value, str) and isinstance(getattr(old, key), tuple):
        value = [part.strip() for part in value.split(",") if part.strip()]
    try:
        new = msgspec.convert({**msgspec.to_builtins(old), key: value}, type(old), strict=False)
    except msgspec.ValidationError as error:
        problem = str(error).partition(" - at")[0]
        raise ConfigurationError(f"{source}: {problem}{_choices(f'{section}.{key}')}") from None
    return msgspec.structs.replace(settings, **{section: new}).checked(source)


def _with_absolute_paths(settings: Settings, base: Path) -> Settings:
    def placed(path: str) -> str:
        return str((base / path).absolute()) if path else ""

    server, tls, policy, audit = settings.server, settings.tls, settings.policy, settings.audit
    url, prefix = audit.database_url, "sqlite:///"
    if url.startswith(prefix) and not url.startswith(prefix + "/"):
        url = prefix + placed(url.removeprefix(prefix))
    return msgspec.structs.replace(
        settings,
        server=msgspec.structs.replace(
            server, listen_unix=placed(server.listen_unix), control=placed(server.control)
        ),
        tls=msgspec.structs.replace(
            tls, certificate=placed(tls.certificate), key=placed(tls.key), client_ca=placed(tls.client_ca)
        ),
        policy=msgspec.structs.replace(
            policy, directory=placed(policy.directory), shadow=placed(policy.shadow)
        ),
        audit=msgspec.structs.replace(
            audit,
            database_url=url,
            fingerprint_key=placed(audit.fingerprint_key),
            outbox=placed(audit.outbox),
            signing_key=placed(audit.signing_key),
            anchor_file=placed(audit.anchor_file),
        ),
    )


def rules_directory(settings: Settings) -> Path:
    """Where the rules are: the configured directory, else those that came with icapd."""
    return Path(settings.policy.directory) if settings.policy.directory else default_rules_directory()


def default_rules_directory() -> Path:
    """The rule files that come with icapd."""
    return Path(str(importlib.resources.files("icapd.rules")))
