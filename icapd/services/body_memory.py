"""What bodies that are held back may take: each by itself, and all of one worker together."""

import threading


class BodyMemory:
    """A count of bytes with a limit; one for all transactions of a process."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        #: Bytes held back now.
        self.held = 0

    def take(self, size: int) -> bool:
        """Count `size` bytes more; False, and nothing is counted, when that exceeds the limit."""
        with self._lock:
            if self.held + size > self._limit:
                return False
            self.held += size
            return True

    def release(self, size: int) -> None:
        """Bytes that `take` counted are gone."""
        with self._lock:
            self.held -= size


class HeldBody:
    """What has arrived of one body and waits for its verdict."""

    def __init__(self, memory: BodyMemory, limit: int) -> None:
        self._memory = memory
        self._limit = limit
        self._data = bytearray()
        self._counted = 0

    def add(self, data: bytes) -> bool:
        """Keep the data; False when the body, or all bodies together, have become too large to be held."""
        self._data += data
        if not self._memory.take(len(data)):
            return False
        self._counted += len(data)
        return len(self._data) <= self._limit

    def sample(self) -> bytes:
        """What is held."""
        return bytes(self._data)

    def release(self) -> bytes:
        """What was held; nothing is any more."""
        data, self._data = bytes(self._data), bytearray()
        if self._counted:
            self._memory.release(self._counted)
            self._counted = 0
        return data
