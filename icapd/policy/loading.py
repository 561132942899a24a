"""A directory of rule files made into one policy: choose packs, apply policy.toml, compile, prove."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

from icapd.errors import PolicyError
from icapd.policy.bodies import PACK
from icapd.policy.conditions import glob
from icapd.policy.decoding import Place
from icapd.policy.faults import suggest
from icapd.policy.pack import Pack, load_pack
from icapd.policy.policy import Policy, policy_digest
from icapd.policy.policy_file import read_policy
from icapd.policy.policy_tables import Exemption, PolicyTables, Settings, Thresholds
from icapd.policy.profiles import Profile
from icapd.policy.resolver import Live, Resolver
from icapd.policy.rule import Mode
from icapd.policy.workshop import Workshop

POLICY_FILE = "policy.toml"

_NOTHING = Settings(
    mode="enforce", packs=(), overrides={}, thresholds=Thresholds(), uninspected={}, bodies=()
)


def load_policy(
    directory: str | Path,
    packs: Sequence[str] | None = None,
    mode: Mode | None = None,
    *,
    today: date | None = None,
) -> Policy:
    """The policy that the rule files in a directory make, checked whole and proved by its own examples.

    `packs` and `mode` replace what policy.toml says. With `packs` there need be no policy.toml, and of one
    only mode and overrides count: no scope, no exception, no threshold. `today` (UTC) decides which
    exceptions have expired. Raises PolicyError, which names file, table or rule, and key of the first fault.
    """
    directory = Path(directory)
    path = directory / POLICY_FILE
    tables = read_policy(path) if packs is None or path.exists() else PolicyTables(_NOTHING)
    place: Path = path
    if packs is not None:
        top = replace(_NOTHING, mode=tables.top.mode, overrides=tables.top.overrides, packs=tuple(packs))
        tables, place = PolicyTables(top), directory
    if mode is not None:
        tables = replace(tables, top=replace(tables.top, mode=mode))
    loaded = _load_packs(directory, tables, place)
    _check_overrides(tables, loaded, path, others_allowed=packs is not None)
    workshop = Workshop(loaded, path)
    profile = workshop.profile(tables.top)
    scopes = tuple((scope, workshop.profile(scope.settings, scope.name)) for scope in tables.scopes)
    profiles = [profile, *(scoped for _, scoped in scopes)]
    today = today or datetime.now(UTC).date()
    live = tuple(_lives(tables.exemptions, profiles, today, path))
    return Policy(
        digest=policy_digest(profile, scopes, live),
        profile=profile,
        scopes=scopes,
        exceptions=live,
        expired=tuple(exemption for exemption in tables.exemptions if exemption.expires < today),
        resolver=Resolver(profile, scopes, live, workshop.sets),
        top=tables.top,
    )


def _load_packs(directory: Path, tables: PolicyTables, place: Path) -> dict[str, Pack]:
    """The packs that are named anywhere, by name; `place`: where those of the top were named."""
    available = sorted(file.stem for file in directory.glob("*.toml") if file.name != POLICY_FILE)
    loaded: dict[str, Pack] = {}
    for scope, settings in tables.settings:
        where: Place = place if scope is None else f'{place}: scope "{scope}"'
        for number, name in enumerate(settings.packs):
            if name not in available:
                raise PolicyError(f'no pack "{name}"{suggest(name, available)}', file=where, key="packs")
            if name in settings.packs[:number]:
                raise PolicyError(f'names "{name}" twice; once is enough', file=where, key="packs")
            if name not in loaded:
                loaded[name] = load_pack(directory / f"{name}.toml")
    return loaded


def _check_overrides(
    tables: PolicyTables, packs: Mapping[str, Pack], path: Path, *, others_allowed: bool
) -> None:
    """Every override must have its rule; those for packs that the caller left out may wait for theirs."""
    rules = {name: [rule.id for rule in pack.rules] for name, pack in packs.items()}
    for scope, settings in tables.settings:
        where: Place = path if scope is None else f'{path}: scope "{scope}"'
        bodies = [f"{PACK}.{body.name}" for body in settings.bodies if body.action != "skip"]
        if len(set(bodies)) < len(bodies):
            twice = next(name for name in bodies if bodies.count(name) > 1).partition(".")[2]
            raise PolicyError(f'two are called "{twice}"; give one another name', file=where, key="body")
        known = {**rules, PACK: bodies}
        for name in settings.overrides:
            pack = name.partition(".")[0]
            if pack not in known and not others_allowed:
                problem = f'pack "{pack}" is not among packs{suggest(pack, rules)}'
                raise PolicyError(problem, file=where, rule=name, key="override")
            if pack in known and name not in known[pack] and not (others_allowed and pack == PACK):
                problem = f"no such rule{suggest(name, known[pack])}"
                raise PolicyError(problem, file=where, rule=name, key="override")


def _lives(
    exemptions: Iterable[Exemption], profiles: Sequence[Profile], today: date, path: Path
) -> Iterator[Live]:
    """The exceptions that hold, with their rules looked up; a word that names none is a fault in any."""
    ids = sorted({rule.id for profile in profiles for rule in profile.rules})
    for exemption in exemptions:
        rules: set[str] = set()
        for word in exemption.rules:
            named = {name for name in ids if glob(word).match(name)}
            if not named:
                place = f"{path}: exception #{exemption.number}"
                raise PolicyError(
                    f'no rule "{word}" is in force{suggest(word, ids)}', file=place, key="rules"
                )
            rules |= named
        if exemption.expires >= today:
            yield Live(exemption, frozenset(rules))
