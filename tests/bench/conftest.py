"""`bench` stands beside the package, not in it: found by the root of the project."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT))
