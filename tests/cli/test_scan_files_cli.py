"""`icapd scan` over directories and HAR files, and what it says as JSON and SARIF."""

import base64
import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from support.policies import KEY, SECRET, demo_policy

from icapd.cli import main


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration with the demonstration rules, in the current directory."""
    (tmp_path / "rules").mkdir()
    demo_policy(tmp_path / "rules")
    (tmp_path / "icapd.toml").write_text('[policy]\ndirectory = "rules"\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def icapd(*arguments: str, stdin: str | bytes | None = None) -> Result:
    return CliRunner().invoke(main, arguments, input=stdin)


def lines(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture
def tree(directory: Path) -> Path:
    """A directory with a key in every file that may be looked at."""
    for name in ("src/a.txt", "src/deep/b.txt", "src/deep/c.log", ".git/config", "src/node_modules/d.txt"):
        path = directory / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(KEY)
    (directory / "tree" / "clean.txt").write_text("harmless")
    (directory / "tree" / "picture.bin").write_bytes(b"\x00\x01")
    (directory / "tree" / "link.txt").symlink_to("src/a.txt")
    (directory / "tree" / "loop").symlink_to(".")
    return directory / "tree"


@pytest.mark.parametrize(
    ("arguments", "files"),
    [
        pytest.param([], ["src/a.txt", "src/deep/b.txt", "src/deep/c.log"], id="all"),
        pytest.param(["--exclude", "*.log"], ["src/a.txt", "src/deep/b.txt"], id="by name"),
        pytest.param(["--exclude", "deep"], ["src/a.txt"], id="a directory by name"),
        pytest.param(["--exclude", "src/deep/"], ["src/a.txt"], id="a directory by its way"),
        pytest.param(["--exclude", "src/*.txt"], ["src/deep/c.log"], id="by way, stars take slashes"),
        pytest.param(["--exclude", "a.txt", "--exclude", "b.*"], ["src/deep/c.log"], id="several"),
    ],
)
def test_directory_is_searched(tree: Path, arguments: list[str], files: list[str]) -> None:
    result = icapd("scan", "--format", "json", *arguments, "tree")
    assert result.exit_code == 1
    assert [line["file"] for line in lines(result) if line["findings"]] == [f"tree/{name}" for name in files]


def test_of_directories_only_findings_are_shown_and_a_sum(tree: Path) -> None:
    result = icapd("scan", "--exclude", "deep", "tree")
    assert "clean.txt" not in result.stdout
    assert "tree/src/a.txt" in result.stdout
    assert result.stderr == "3 files: 1 with findings, 1 not inspected, 0 failed\n"


def test_what_tools_keep_is_scanned_when_it_is_named(tree: Path) -> None:
    assert icapd("scan", "tree/.git").exit_code == 1
    assert icapd("scan", "--exclude", "a.txt", "tree/src/a.txt").stdout == ""


def test_file_named_twice_is_scanned_once(tree: Path) -> None:
    result = icapd("scan", "--format", "json", "tree/src/a.txt", "tree/src", "tree/src/a.txt")
    assert [line["file"] for line in lines(result)].count("tree/src/a.txt") == 1


def test_file_above_the_size_is_not_called_clean(directory: Path) -> None:
    (directory / "large.txt").write_bytes(b"a" * (1024 * 1024 + 1))
    (directory / "small.txt").write_bytes(b"a" * 1024 * 1024)
    result = icapd("scan", "--max-size", "1", "large.txt", "small.txt")
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: large.txt: is larger than 1024 KB; --max-size takes more\n")
    assert "large.txt" not in result.stdout
    assert "small.txt" in result.stdout
    assert icapd("scan", "--max-size", "1", stdin=b"a" * (1024 * 1024 + 1)).exit_code == 2


def test_directory_that_can_not_be_read_is_told(directory: Path) -> None:
    parent = os.open(directory, os.O_DIRECTORY)
    # A way longer than PATH_MAX leads nowhere, whoever goes it.
    for name in ["deep", *["x" * 255] * 17]:
        os.mkdir(name, dir_fd=parent)
        inner = os.open(name, os.O_DIRECTORY, dir_fd=parent)
        os.close(parent)
        parent = inner
    os.close(parent)
    (directory / "deep/a.txt").write_bytes(KEY)
    result = icapd("scan", "deep")
    assert result.exit_code == 2
    assert "can't be read: File name too long" in result.stderr
    assert "demo.key" in result.stdout


def test_file_that_can_not_be_read_is_told_and_the_others_are_scanned(directory: Path) -> None:
    (directory / "b.txt").write_bytes(KEY)
    # Nothing is mapped at its beginning, whoever asks.
    result = icapd("scan", "/proc/self/mem", "b.txt")
    assert result.exit_code == 2
    assert "Error: /proc/self/mem: can't be read: Input/output error" in result.stderr
    assert "demo.key" in result.stdout


def test_findings_have_line_and_column(directory: Path) -> None:
    (directory / "a.txt").write_bytes("eins\nzwölf ".encode() + KEY)
    (document,) = lines(icapd("scan", "--format", "json", "a.txt"))
    (finding,) = document["findings"]
    assert (finding["line"], finding["column"]) == (2, 11)
    assert "2:11" in icapd("scan", "a.txt").stdout
    (directory / "b.txt").write_bytes(KEY + b" \xc3\xbc " + KEY + b"\n\n" + KEY)
    (document,) = lines(icapd("scan", "--format", "json", "b.txt"))
    places = [(finding["line"], finding["column"]) for finding in document["findings"]]
    assert places == [(1, 5), (1, 24), (3, 5)]


def test_text_that_is_no_utf_8_has_no_lines(directory: Path) -> None:
    (directory / "a.txt").write_bytes(b"\xe4 " + KEY)
    (document,) = lines(icapd("scan", "--format", "json", "--content-type", "text/plain", "a.txt"))
    assert [set(finding) & {"line", "column"} for finding in document["findings"]] == [set()]


HAR = {
    "log": {
        "version": "1.2",
        "entries": [
            {
                "request": {"method": "GET", "url": "https://h/a?q=ATTACK!", "headers": []},
                "response": {
                    "status": 200,
                    "headers": [
                        {"name": "Content-Encoding", "value": "gzip"},
                        {"name": "X-Key", "value": KEY.decode()},
                    ],
                    "content": {"mimeType": "text/plain; charset=utf-16", "text": f"ü {KEY.decode()}"},
                },
            },
            {
                "request": {
                    "method": "POST",
                    "url": f"https://h/{KEY.decode()}/b",
                    "postData": {
                        "mimeType": "application/x-www-form-urlencoded",
                        "params": [{"name": "q", "value": "ATTACK!"}],
                    },
                },
                "response": {
                    "content": {"text": base64.b64encode(b"MALWARE!").decode(), "encoding": "base64"}
                },
            },
            {"request": {"method": "GET", "url": "https://h/clean"}},
        ],
    }
}


def test_har_file_is_scanned_message_by_message(directory: Path) -> None:
    (directory / "capture.har").write_text(json.dumps(HAR))
    result = icapd("scan", "--format", "json", "capture.har")
    assert result.exit_code == 1
    assert [
        (line["file"], [(finding["rule_id"], finding["target"]) for finding in line["findings"]])
        for line in lines(result)
    ] == [
        ("capture.har#1 request GET https://h/a", [("demo.attack", "field")]),
        ("capture.har#1 response GET https://h/a", [("demo.key", "header:X-Key"), ("demo.key", "body")]),
        (
            "capture.har#2 request POST https://h/KEY-[REDACTED]/b",
            [("demo.key", "url"), ("demo.attack", "field")],
        ),
        ("capture.har#2 response POST https://h/KEY-[REDACTED]/b", [("demo.malware", "body")]),
        ("capture.har#3 request GET https://h/clean", []),
        ("capture.har#3 response GET https://h/clean", []),
    ]
    assert SECRET.decode() not in result.stdout
    text = icapd("scan", "capture.har").stdout
    assert "capture.har#3 request GET https://h/clean: nothing found" in text
    assert "capture.har#2 request POST https://h/KEY-[REDACTED]/b" in text


@pytest.mark.parametrize("output_format", ["text", "json", "sarif"])
def test_names_that_others_chose_do_no_harm(directory: Path, output_format: str) -> None:
    (directory / os.fsdecode(b"\x1b[31m\xff[bold].txt")).write_bytes(KEY)
    entry = {"request": {"method": "GET\x1b", "url": f"https://h/\x1b?{KEY.decode()}"}}
    (directory / "a.har").write_text(json.dumps({"log": {"entries": [entry]}}))
    result = icapd("scan", "--format", output_format, "--exclude", "rules", ".")
    assert result.exit_code == 1
    assert "\x1b" not in result.output
    assert "[bold]" in result.stdout or "%5Bbold%5D" in result.stdout
    assert SECRET.decode() not in result.output


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", "Input data was truncated"),
        (
            '{"log": {"entries": [{"request": {"method": "\\ud800", "url": ""}}]}}',
            "unexpected end of escaped utf-16 surrogate pair",
        ),
        ('{"log": {}}', "missing required field `entries`"),
        ('{"log": {"entries": [{}]}}', "missing required field `request` - at `$.log.entries[0]`"),
        (
            '{"log": {"entries": [{"request": {"method": "GET", "url": "", '
            '"postData": {"text": "*", "encoding": "base64"}}}]}}',
            "entry 1: a body is not base64",
        ),
    ],
)
def test_file_that_is_no_har_is_told(directory: Path, content: str, problem: str) -> None:
    (directory / "capture.har").write_text(content)
    result = icapd("scan", "capture.har")
    assert result.exit_code == 2
    assert "Error: capture.har: is no HAR file: " in result.stderr
    assert problem in result.stderr


def test_sarif_tells_rules_places_and_failures(directory: Path) -> None:
    (directory / "a b.txt").write_bytes(b"x\n" + KEY + b" " + KEY)
    (directory / "capture.har").write_text(json.dumps(HAR))
    (directory / "broken.har").write_text("{")
    result = icapd("scan", "--format", "sarif", "a b.txt", "capture.har", "broken.har")
    assert result.exit_code == 2
    document = json.loads(result.stdout)
    assert document["version"] == "2.1.0"
    (run,) = document["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == ["demo.key", "demo.attack", "demo.malware"]
    assert rules[0]["defaultConfiguration"] == {"level": "error"}
    first, second, header = run["results"][0], run["results"][1], run["results"][3]
    assert (first["ruleId"], first["ruleIndex"], first["level"]) == ("demo.key", 0, "error")
    assert first["message"]["text"] == "demo.key in body: ABC***"
    (location,) = first["locations"]
    assert location["physicalLocation"] == {
        "artifactLocation": {"uri": "a%20b.txt"},
        "region": {
            "startLine": 2,
            "startColumn": 5,
            "endLine": 2,
            "endColumn": 17,
            "byteOffset": 6,
            "byteLength": 12,
        },
    }
    assert first["partialFingerprints"] != second["partialFingerprints"]
    (location,) = header["locations"]
    assert location["physicalLocation"] == {"artifactLocation": {"uri": "capture.har"}}
    assert location["logicalLocations"] == [{"name": "#1 response GET https://h/a"}]
    (invocation,) = run["invocations"]
    assert invocation["executionSuccessful"] is False
    (notification,) = invocation["toolExecutionNotifications"]
    assert notification["message"]["text"].startswith("is no HAR file")
    assert SECRET.decode() not in result.stdout


def test_sarif_of_two_runs_is_the_same(directory: Path) -> None:
    (directory / "a.txt").write_bytes(KEY)
    first, second = (icapd("scan", "--format", "sarif", "a.txt").stdout for _ in range(2))
    assert first == second


def test_batch_in_several_processes_gives_the_same_lines(directory: Path) -> None:
    messages = [
        json.dumps({"id": number, "body": KEY.decode() if number % 7 == 0 else "x" * 20_000})
        for number in range(400)
    ]
    stdin = "\n".join([*messages, "{", ""])
    one, two = icapd("scan", "--batch", stdin=stdin), icapd("scan", "--batch", "--jobs", "2", stdin=stdin)
    assert (one.exit_code, two.exit_code) == (2, 2)
    assert one.stdout == two.stdout
    assert icapd("scan", "--batch", "--jobs", "2", stdin="").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--jobs", "2"], "--jobs is for --batch"),
        (["--max-size", "0"], "--max-size"),
        (["--format", "xml"], "'xml' is not one of"),
    ],
)
def test_wrong_usage_exits_with_2(directory: Path, arguments: list[str], message: str) -> None:
    result = icapd("scan", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_progress_is_shown_on_a_terminal_and_the_findings_go_where_they_belong(directory: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (directory / name).write_bytes(KEY)
    icapd_script = Path(sys.executable).with_name("icapd")
    terminal, stderr = pty.openpty()
    with os.fdopen(terminal, "rb", buffering=0) as shown:
        scanned = subprocess.run(
            [icapd_script, "scan", "--format", "json", "a.txt", "b.txt"],
            stdout=subprocess.PIPE,
            stderr=stderr,
            env={**os.environ, "TERM": "xterm"},
            check=False,
        )
        os.close(stderr)
        bar = shown.read(4096)
    assert scanned.returncode == 1
    assert [json.loads(line)["file"] for line in scanned.stdout.splitlines()] == ["a.txt", "b.txt"]
    assert b"scanning" in bar


def test_pre_commit_hook_calls_what_there_is(directory: Path) -> None:
    hooks = (Path(__file__).parents[2] / ".pre-commit-hooks.yaml").read_text("utf-8")
    (entry,) = [line.partition(":")[2].split() for line in hooks.splitlines() if "entry:" in line]
    (directory / "a.txt").write_bytes(KEY)
    program, *arguments = entry
    assert program == "icapd"
    assert icapd(*arguments, "a.txt").exit_code == 1
