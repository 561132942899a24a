"""`icapd rules check`: what is wrong with the rule files, and what in them will be slow."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from icapd.configuration import rules_directory
from icapd.errors import ConfigurationError, PolicyError
from icapd.policy import CompiledRule, Policy, load_policy
from icapd.policy.expiry import expiry_of
from icapd.policy.redos import Screening, screen
from icapd.settings import Settings

_DIRECTORY = click.Path(path_type=Path, exists=True, file_okay=False)
#: Targets of which a message has much.
_TEXTS = ("body", "field")
#: Bytes. A stream holds back as much as its rule with the longest reach; few rules ask for more.
_LONG_REACH = 8192


class Note(msgspec.Struct, frozen=True):
    """One thing about a rule that costs, or about the policy; a `fault` keeps the pack from being used."""

    #: Its id; "" for the policy.
    rule: str
    kind: str
    problem: str
    fault: bool = False


class PackReport(msgspec.Struct, frozen=True):
    """A pack, or policy.toml, with what there is to say of it."""

    name: str
    rules: int = 0
    fault: str | None = None
    notes: tuple[Note, ...] = ()
    #: Whether policy.toml or a scope of it names the pack; None where that is not known.
    in_use: bool | None = None


@click.command("check")
@click.argument("directory", type=_DIRECTORY, required=False)
@click.option("--screen/--no-screen", default=True, help="Measure each rule on the worst texts for it.")
@click.option(
    "--format", "output_format", type=click.Choice(["table", "json"]), default="table", show_default=True
)
@click.pass_obj
def check_rules(settings: Settings, directory: Path | None, screen: bool, output_format: str) -> None:
    """Check every pack of a directory, in use or not, and its policy.toml.

    Prints a line for each, with whether policy.toml names it, and below it what is slow: rules that run on
    every text, those that a hostile text keeps busy, those that make streams hold back much. Exit code 3 when
    one has a fault; a pattern that takes for ever on a line of text is one.
    """
    directory = directory or rules_directory(settings)
    packs = sorted(path.stem for path in directory.glob("*.toml") if path.stem != "policy")
    if not packs:
        raise ConfigurationError(f"{directory}: holds no rule files (*.toml)")
    # A fault in a pack in use is one in policy.toml's sum as well, but told once.
    faults: set[str] = set()
    reports = _reports(directory, packs, screen, faults)
    if output_format == "json":
        click.echo(msgspec.json.format(msgspec.json.encode(list(reports))))
    else:
        click.echo(f"{directory.resolve()}:")
        for report in reports:
            _print(report)
    if faults:
        raise ConfigurationError(f"{directory}: faults: {len(faults)}")


def _reports(directory: Path, packs: Sequence[str], screened: bool, faults: set[str]) -> Iterator[PackReport]:
    whole, problem = _whole(directory)
    used = {name for _, scope in whole.scopes for name in scope.packs} | set(whole.packs) if whole else None
    for pack in packs:
        try:
            policy = load_policy(directory, [pack])
        except PolicyError as error:
            faults.add(str(error))
            yield PackReport(pack, fault=str(error))
            continue
        notes = (*_always_run(policy), *_long_reaching(policy), *(_slow(policy.rules) if screened else ()))
        faults |= {f"{note.rule}: {note.problem}" for note in notes if note.fault}
        in_use = None if used is None else pack in used
        yield PackReport(pack, len(policy.rules), notes=notes, in_use=in_use)
    if whole is not None:
        notes = tuple(Note("", "expiry", line) for line in expiry_of(whole, datetime.now(UTC).date()).lines)
        yield PackReport(f"policy.toml ({', '.join(whole.packs)})", len(whole.rules), notes=notes)
    elif problem not in faults:
        faults.add(problem)
        yield PackReport("policy.toml", fault=problem)


def _whole(directory: Path) -> tuple[Policy | None, str]:
    """What policy.toml makes of the packs, or what is wrong."""
    try:
        return load_policy(directory), ""
    except PolicyError as error:
        return None, str(error)


def _always_run(policy: Policy) -> Iterator[Note]:
    """Rules on bodies and fields that nothing but their own pattern can rule out."""
    rules = [
        rule
        for side in (policy.request, policy.response)
        for target in _TEXTS
        for rule in side.always(target)
    ]
    for rule in dict.fromkeys(rules):
        yield Note(
            rule.id,
            "always",
            "runs on every text: it has no keywords, and Hyperscan can't read its pattern; add keywords",
        )


def _long_reaching(policy: Policy) -> Iterator[Note]:
    for rule in policy.response.body_rules:
        if rule.max_length > _LONG_REACH:
            problem = f"a body that flows holds back {rule.max_length} bytes for it; lower max_length"
            yield Note(rule.id, "reach", problem)


def _slow(rules: Iterable[CompiledRule]) -> Iterator[Note]:
    for rule in rules:
        screening = screen(rule)
        if screening is not None and screening.verdict != "linear":
            yield _note(screening)


def _note(screening: Screening) -> Note:
    if screening.verdict == "explosive":
        remedy = "make its repeats exclude each other, or possessive (*+, ++)"
        return Note(
            screening.rule_id, "explosive", f"{screening.key} blows up: {screening}; {remedy}", fault=True
        )
    return Note(screening.rule_id, screening.verdict, str(screening))


def _print(report: PackReport) -> None:
    if report.fault is not None:
        click.echo(f"FAULT {report.fault}")
        return
    mark = "FAULT" if any(note.fault for note in report.notes) else "ok   "
    number = f"{report.rules} rule{'' if report.rules == 1 else 's'}"
    unused = ", not in use: policy.toml does not name it in packs" if report.in_use is False else ""
    click.echo(f"{mark} {report.name}: {number}{unused}")
    for note in report.notes:
        click.echo(f"      {note.rule}: {note.problem}" if note.rule else f"      {note.problem}")
