"""Small policies of a test's own, and limits that give rules time."""

from pathlib import Path

from icapd.inspection import InspectionLimits
from icapd.policy import Policy, load_policy

#: Where it is asked what is found, and not how soon: the machine may have much else to do.
UNHURRIED = InspectionLimits(scan_timeout=30.0)
#: A pack in which every action occurs, with patterns that no ordinary text meets.
RULES = """
[[rule]]
id = "demo.key"
description = "Demonstration key"
targets = ["body", "url", "header:X-Key"]
pattern = '''\\bKEY-(?P<secret>[A-Z0-9]{12})\\b'''
action = "redact"
severity = "high"
score = 40
match = ["KEY-ABCDEF123456"]
no_match = ["KEY-abc"]

[[rule]]
id = "demo.attack"
description = "Demonstration attack"
direction = "request"
targets = ["field"]
pattern = "ATTACK!"
action = "block"
severity = "high"
score = 30
match = ["ATTACK!"]
no_match = ["attack"]

[[rule]]
id = "demo.malware"
description = "Demonstration malware"
direction = "response"
targets = ["body"]
pattern = "MALWARE!"
action = "block"
severity = "critical"
score = 50
match = ["MALWARE!"]
no_match = ["malware"]

[[rule]]
id = "demo.note"
description = "Something to note"
targets = ["body"]
pattern = "NOTE-ME"
action = "log"
severity = "info"
match = ["NOTE-ME"]
no_match = ["note"]

[[rule]]
id = "demo.program"
description = "A program"
direction = "response"
targets = ["content-type"]
pattern = "x-program"
action = "block"
severity = "medium"
match = ["application/x-program"]
no_match = ["text/plain"]

[[rule]]
id = "demo.size"
description = "A large body"
targets = ["size"]
max_size = 100_000
action = "block"
severity = "low"
"""
#: Of them those that let bodies of any size flow.
FLOWING_RULES = RULES.partition('[[rule]]\nid = "demo.size"')[0]

SECRET = b"ABCDEF123456"
KEY = b"KEY-" + SECRET


def demo_policy(directory: Path, mode: str = "enforce", rules: str = RULES) -> Policy:
    """The policy of the pack above, or of other rules by the name of `demo`."""
    (directory / "demo.toml").write_text(rules)
    (directory / "policy.toml").write_text(f'mode = "{mode}"\npacks = ["demo"]\n')
    return load_policy(directory)
