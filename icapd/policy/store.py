"""The policy in force, and its exchange for another while traffic runs."""

from collections.abc import Sequence
from pathlib import Path
from threading import Lock

from icapd.policy.loading import load_policy
from icapd.policy.policy import Policy
from icapd.policy.rule import Mode


class PolicyStore:
    """Holds one policy at a time. A transaction asks once and keeps what it got."""

    def __init__(
        self, directory: str | Path, packs: Sequence[str] | None = None, mode: Mode | None = None
    ) -> None:
        """Load the policy; PolicyError when the rule files have a fault. Arguments as for `load_policy`."""
        self._directory, self._packs, self._mode = Path(directory), packs, mode
        self._reloading = Lock()
        self._current = self._load()

    def current(self) -> Policy:
        """The policy in force."""
        return self._current

    def reload(self) -> Policy:
        """Load the rule files anew and put the result in force.

        Everything is read, compiled and proved before the one assignment that changes over; on PolicyError
        the old policy stays.
        """
        with self._reloading:
            self._current = self._load()
            return self._current

    def _load(self) -> Policy:
        return load_policy(self._directory, self._packs, self._mode)
