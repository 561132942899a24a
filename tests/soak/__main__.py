"""Real Squid, real icapd and mixed traffic for as long as you like; each byte and each row is checked."""

import secrets
from pathlib import Path

import click
from rich.console import Console
from rich.live import Live
from rich.table import Table
from soak.mix import Ledger
from soak.soaking import Result, soak

MiB = 1024 * 1024
#: Problems of one kind that are shown; the rest are mostly the same.
SHOWN = 10


@click.command(help=__doc__)
@click.option("--minutes", default=2.0, show_default=True, help="How long new visits begin.")
@click.option("--workers", default=1, show_default=True, help="Processes of icapd.")
@click.option("--seed", type=int, help="Repeats the visits of another run; random if not given.")
@click.option("--kinds", default="", help="Only kinds of visits with this word in their name.")
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep logs and audit tables in this directory, which Squid's user must be able to reach.",
)
def main(minutes: float, workers: int, seed: int | None, kinds: str, keep: Path | None) -> None:
    console = Console()
    seed = secrets.randbelow(10**6) if seed is None else seed
    console.print(f"seed {seed}, {workers} worker(s), {minutes:g} minutes")
    if keep is not None:
        keep = keep.absolute()
        keep.mkdir(parents=True, exist_ok=True)
    with Live(console=console, transient=True, refresh_per_second=2) as live:

        def progress(ledger: Ledger) -> None:
            live.update(f"{ledger.visits} visits, {ledger.problems} problems")

        result = soak(
            seed=seed, seconds=60 * minutes, workers=workers, kinds=kinds, keep=keep, progress=progress
        )
    console.print(summary(result))
    for problem in result.all_problems[:SHOWN]:
        console.print(problem, style="red", markup=False, highlight=False)
    if keep is not None:
        (keep / "problems.txt").write_text("".join(f"{problem}\n" for problem in result.all_problems))
    raise SystemExit(1 if result.all_problems else 0)


def summary(result: Result) -> Table:
    """A line for each kind of visit."""
    dropped = result.ledger.dropped
    caption = f"{result.transactions} ICAP transactions, {result.rows} audit rows, {dropped} uploads dropped"
    table = Table(caption=caption)
    for name in ("kind", "visits", "MiB", "mean s", "problems"):
        table.add_column(name, justify="left" if name == "kind" else "right")
    for kind, tally in sorted(result.ledger.tallies.items()):
        mean = tally.seconds / max(1, tally.visits)
        problems = len(tally.problems)
        style = "red" if problems else ""
        table.add_row(
            kind, str(tally.visits), f"{tally.bytes / MiB:.1f}", f"{mean:.2f}", str(problems), style=style
        )
    everywhere = len(result.problems)
    table.add_row("Squid and audit", "", "", "", str(everywhere), style="red" if everywhere else "")
    return table


if __name__ == "__main__":
    main()
