"""Changed rule files are taken by themselves, however editors, git and Kubernetes write them."""

import asyncio
import shutil
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from support.icapd import serving
from support.policies import RULES, demo_policy
from support.supervision import LoneSupervision

from icapd.server.control.supervision import ReloadResult
from icapd.server.supervision.policy_watch import LOOK, QUIET, PolicyWatch

#: Seconds after which a change that should have been noticed counts as missed.
PATIENCE = 20.0


class Watched:
    """A directory of rules under watch, and what became of its changes."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.watch = PolicyWatch(directory)
        self.supervision = LoneSupervision(directory)

    async def outcome(self, taken: bool) -> ReloadResult:
        """The next reload that ended so; those before it saw files half-way between two states."""
        async with asyncio.timeout(PATIENCE):
            while (result := await self.supervision.reloads.get()).taken is not taken:
                pass
        return result

    async def takes(self, rule: str) -> None:
        """A policy with this rule comes into force."""
        async with asyncio.timeout(PATIENCE):
            while rule not in self.rules:
                await self.supervision.reloads.get()

    @property
    def rules(self) -> set[str]:
        return {rule.id for rule in self.supervision.store.current().rules}


def watching(directory: Path, test: Callable[[Watched], Awaitable[None]]) -> None:
    async def main() -> None:
        watched = Watched(directory)
        task = asyncio.create_task(watched.watch.run(watched.supervision))
        try:
            await test(watched)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())


def with_rule(rule: str) -> str:
    return RULES.replace("demo.note", rule)


def make(directory: Path, rule: str) -> None:
    directory.mkdir()
    demo_policy(directory, rules=with_rule(rule))


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    make(tmp_path / "rules", "demo.note")
    return tmp_path / "rules"


def test_written_file_is_taken(rules: Path) -> None:
    async def test(watched: Watched) -> None:
        (rules / "demo.toml").write_text(with_rule("demo.first"))
        await watched.takes("demo.first")
        (rules / "demo.toml").write_text(with_rule("demo.second"))
        await watched.takes("demo.second")

    watching(rules, test)


def test_file_that_an_editor_renames_into_place_is_taken(rules: Path) -> None:
    async def test(watched: Watched) -> None:
        for rule in ("demo.first", "demo.second"):
            (rules / ".demo.toml.swp").write_text(with_rule(rule))
            (rules / ".demo.toml.swp").rename(rules / "demo.toml")
            await watched.takes(rule)

    watching(rules, test)


def test_broken_file_is_refused_and_taken_when_mended(rules: Path) -> None:
    async def test(watched: Watched) -> None:
        before = watched.supervision.store.current()
        text = with_rule("demo.mended")
        (rules / "demo.toml").write_text(text[: len(text) // 2])
        refused = await watched.outcome(taken=False)
        assert str(rules / "demo.toml") in refused.problem
        assert watched.supervision.store.current() is before
        (rules / "demo.toml").write_text(text)
        await watched.takes("demo.mended")

    watching(rules, test)


def test_change_before_the_watch_began_is_taken(rules: Path) -> None:
    async def main() -> None:
        watched = Watched(rules)
        (rules / "demo.toml").write_text(with_rule("demo.early"))
        task = asyncio.create_task(watched.watch.run(watched.supervision))
        await watched.takes("demo.early")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())


def test_other_files_are_no_change(rules: Path) -> None:
    async def test(watched: Watched) -> None:
        (rules / "README.md").write_text("Ours.")
        (rules / "demo.toml").touch()  # a new time is a change: what was written may have the same size
        await watched.outcome(taken=True)
        (rules / "notes.txt").write_text("Not a pack.")
        (rules / "demo.toml").write_text(with_rule("demo.last"))
        await watched.takes("demo.last")
        assert watched.supervision.reloads.empty()

    watching(rules, test)


def test_directory_that_another_one_replaces_is_watched_on(rules: Path, tmp_path: Path) -> None:
    async def test(watched: Watched) -> None:
        for rule in ("demo.first", "demo.second"):
            new = tmp_path / "new"
            shutil.copytree(rules, new)
            (new / "demo.toml").write_text(with_rule(rule))
            shutil.move(rules, tmp_path / f"old-{rule}")
            shutil.move(new, rules)
            await watched.takes(rule)
        (rules / "demo.toml").write_text(with_rule("demo.third"))
        await watched.takes("demo.third")

    watching(rules, test)


def test_directory_that_goes_away_and_comes_back_is_watched_on(rules: Path, tmp_path: Path) -> None:
    async def test(watched: Watched) -> None:
        shutil.rmtree(rules)
        await watched.outcome(taken=False)
        make(rules, "demo.back")
        await watched.takes("demo.back")
        (rules / "demo.toml").write_text(with_rule("demo.again"))
        await watched.takes("demo.again")

    watching(rules, test)


def test_directory_that_is_a_link_may_lead_elsewhere(rules: Path, tmp_path: Path) -> None:
    link = tmp_path / "current"
    link.symlink_to(rules)

    async def test(watched: Watched) -> None:
        other = tmp_path / "release-2"
        shutil.copytree(rules, other)
        (other / "demo.toml").write_text(with_rule("demo.elsewhere"))
        (tmp_path / "current.new").symlink_to(other)
        (tmp_path / "current.new").rename(link)
        await watched.takes("demo.elsewhere")
        (other / "demo.toml").write_text(with_rule("demo.there"))
        await watched.takes("demo.there")

    watching(link, test)


def test_kubernetes_swaps_the_link_of_its_config_map(tmp_path: Path) -> None:
    """As kubelet writes a volume: files are links through `..data`, which is renamed over."""
    volume = tmp_path / "volume"
    volume.mkdir()

    def publish(generation: str, rule: str) -> None:
        data = volume / generation
        make(data, rule)
        (volume / "..data_tmp").symlink_to(generation)
        (volume / "..data_tmp").rename(volume / "..data")

    publish("..2026_01", "demo.first")
    for name in ("demo.toml", "policy.toml"):
        (volume / name).symlink_to(f"..data/{name}")

    async def test(watched: Watched) -> None:
        publish("..2026_02", "demo.second")
        shutil.rmtree(volume / "..2026_01")
        await watched.takes("demo.second")
        publish("..2026_03", "demo.third")
        shutil.rmtree(volume / "..2026_02")
        await watched.takes("demo.third")

    watching(volume, test)


def test_git_checkout_is_taken(rules: Path) -> None:
    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=test", "-c", "user.email=test@example.org")
        subprocess.run(["git", "-C", rules, *identity, *arguments], check=True, capture_output=True)

    git("init", "--initial-branch=one")
    git("add", ".")
    git("commit", "--message=one")
    git("checkout", "-b", "two")
    (rules / "demo.toml").write_text(with_rule("demo.two"))
    git("commit", "--all", "--message=two")

    async def test(watched: Watched) -> None:
        git("checkout", "one")
        await watched.takes("demo.note")
        git("checkout", "two")
        await watched.takes("demo.two")

    watching(rules, test)


def test_server_takes_changed_rules_by_itself(rules: Path, tmp_path: Path) -> None:
    settings = '[policy]\ndirectory = "rules"\n'
    with serving(tmp_path, settings) as server:
        (rules / "demo.toml").write_text("[[rule]\n")
        assert "demo.toml" in server.wait_for_log("event=reload-refused").string
        (rules / "demo.toml").write_text(with_rule("demo.mended"))
        server.wait_for_log("event=reloaded")


def test_server_leaves_rules_alone_where_watching_is_off(rules: Path, tmp_path: Path) -> None:
    with serving(tmp_path, '[policy]\ndirectory = "rules"\nwatch = false\n') as server:
        (rules / "demo.toml").write_text(with_rule("demo.ignored"))
        # What is taken because it is asked for comes behind what would have been taken by itself.
        time.sleep(3 * (QUIET + LOOK) / 1000)
        server.process.send_signal(signal.SIGHUP)
        server.wait_for_log("event=reloaded")
        assert "rules-changed" not in server.log
