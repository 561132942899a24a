"""A bad edit of the rules, as everybody who looks sees it, on a real server."""

import json
import sqlite3
import time
from pathlib import Path
from urllib.request import urlopen

from support.icapd import PATIENCE, serving
from support.places import free_port
from support.policies import RULES

from icapd.policy import load_policy


def page(port: int, path: str) -> str:
    with urlopen(f"http://127.0.0.1:{port}/{path}", timeout=PATIENCE) as answer:
        assert answer.status == 200
        return str(answer.read().decode())


def test_bad_edit_is_told_everywhere_and_the_old_rules_stay(tmp_path: Path) -> None:
    rules, port = tmp_path / "rules", free_port()
    rules.mkdir()
    (rules / "demo.toml").write_text(RULES)
    (rules / "policy.toml").write_text('packs = ["demo"]\n')
    first = load_policy(rules)
    settings = f'[server]\nlisten = "127.0.0.1:0"\nhttp_listen = "127.0.0.1:{port}"\nworkers = 2\n'
    settings += '[policy]\ndirectory = "rules"\n'
    with serving(tmp_path, settings) as server:
        assert page(port, "readyz") == "ready\n"
        (rules / "policy.toml").write_text('packs = ["demo"]\n[[scope]]\nname = "a"\nhost = ["x"]\n')
        server.wait_for_log("event=reload-refused")
        ready = page(port, "readyz").splitlines()
        assert ready[0] == "ready"
        assert "the rule files on disk are refused since" in ready[1]
        assert 'policy.toml: scope "a": key "host": unknown key' in ready[1]
        metrics = page(port, "metrics")
        assert refused_since(metrics) > 0
        assert 'icapd_policy_reloads_total{result="refused"} 1.0' in metrics
        (rules / "policy.toml").write_text(
            'packs = ["demo"]\n[[scope]]\nname = "a"\nhosts = ["x"]\nskip = true\n'
        )
        server.wait_for_log("event=reloaded")
        assert page(port, "readyz") == "ready\n"
        assert refused_since(page(port, "metrics")) == 0
        second = load_policy(rules)
        rows = admin_rows(server.database)
    (refused, taken) = rows
    assert refused[0] == "policy-refused"
    assert refused[1]["still"] == first.digest
    assert 'key "host"' in refused[1]["problem"]
    assert taken == ("policy-taken", {"before": first.digest, "after": second.digest})


def refused_since(metrics: str) -> float:
    (line,) = (
        line for line in metrics.splitlines() if line.startswith("icapd_policy_refused_since_seconds ")
    )
    return float(line.split()[1])


def admin_rows(database: Path) -> list[tuple[str, dict[str, str]]]:
    """What was done to the policy, once both rows are there: they are written behind the reload."""
    deadline = time.monotonic() + PATIENCE
    rows: list[tuple[str, str]] = []
    while len(rows) < 2 and time.monotonic() < deadline:
        with sqlite3.connect(database) as connection:
            rows = connection.execute(
                "SELECT action, detail FROM audit_admin WHERE action LIKE 'policy-%' ORDER BY occurred_at"
            ).fetchall()
        time.sleep(0.02)
    return [(action, json.loads(detail)) for action, detail in rows]
