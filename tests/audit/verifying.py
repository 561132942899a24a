"""`icapd audit` in this process, as whoever verifies a trail or an export of it has it."""

from pathlib import Path

from click.testing import CliRunner
from support.trail import Trail

from icapd.cli import main


def run(trail: Trail, *arguments: str) -> tuple[int, str]:
    configuration = Path(trail.settings.outbox).parent / "icapd.toml"
    configuration.write_text(f'[audit]\ndatabase_url = "{trail.url}"\n')
    result = CliRunner().invoke(main, ["--config", str(configuration), "audit", *arguments])
    return result.exit_code, result.output


def exported(trail: Trail, file: Path, format_: str, *options: str) -> None:
    code, output = run(trail, "export", str(file), "--format", format_, "--force", *options)
    assert code == 0, output
