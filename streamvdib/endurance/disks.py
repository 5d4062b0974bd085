"""Disks that fail on purpose, and one in memory that can lose power."""

from __future__ import annotations

import errno
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from streamvdib.disk import Disk

BeforeCall = Callable[[str, Path], None]  # name of the call and its path; raises what goes wrong


@dataclass
class Fault:
    """One kind of call fails, from the ``first`` time on, ``n_times``.

    >>> fault = Fault("write", errno.ENOSPC, n_times=1)
    >>> fault("rename", Path("a"))
    >>> fault("write", Path("a"))
    Traceback (most recent call last):
    OSError: [Errno 28] No space left on device: 'a'
    >>> fault("write", Path("a"))
    """

    call: str
    number: int = errno.ENOSPC
    first: int = 1
    n_times: int = 1 << 60
    n_calls: int = field(default=0, init=False)

    def __call__(self, call: str, path: Path) -> None:
        """Raise if it is this call's turn."""
        if call != self.call:
            return
        self.n_calls += 1
        if self.first <= self.n_calls < self.first + self.n_times:
            message = {errno.ENOSPC: "No space left on device", errno.EIO: "Input/output error"}
            raise OSError(self.number, message.get(self.number, "failed"), str(path))


class FaultyDisk:
    """Another disk, with a fault before some calls; a write that fails leaves half a file."""

    def __init__(self, disk: Disk, before: BeforeCall) -> None:
        self.disk, self.before = disk, before

    def lock(self, folder: Path) -> Callable[[], None]:
        """See ``Disk``."""
        self.before("lock", folder)
        return self.disk.lock(folder)

    def names(self, folder: Path) -> list[str]:
        """See ``Disk``."""
        self.before("names", folder)
        return self.disk.names(folder)

    def read(self, path: Path) -> bytes:
        """See ``Disk``."""
        self.before("read", path)
        return self.disk.read(path)

    def write(self, path: Path, data: bytes) -> None:
        """See ``Disk``."""
        try:
            self.before("write", path)
        except BaseException:
            self.disk.write(path, data[: len(data) // 2])
            raise
        self.disk.write(path, data)

    def append(self, path: Path, data: bytes) -> None:
        """See ``Disk``."""
        try:
            self.before("append", path)
        except BaseException:
            self.disk.append(path, data[: len(data) // 2])
            raise
        self.disk.append(path, data)

    def sync(self, path: Path) -> None:
        """See ``Disk``."""
        self.before("sync", path)
        self.disk.sync(path)

    def rename(self, path: Path, onto: Path) -> None:
        """See ``Disk``."""
        self.before("rename", path)
        self.disk.rename(path, onto)

    def remove(self, path: Path) -> None:
        """See ``Disk``."""
        self.before("remove", path)
        self.disk.remove(path)

    def sync_folder(self, folder: Path) -> None:
        """See ``Disk``."""
        self.before("sync_folder", folder)
        self.disk.sync_folder(folder)


@dataclass
class _File:
    data: bytes
    n_synced: int  # bytes that a loss of power leaves


class MemoryDisk:
    """Files in memory; ``lose_power`` forgets what was not synced.

    Names that were given or taken since the last ``sync_folder`` are lost from a random one on, as
    on a file system that keeps the order of its changes; appended bytes are cut at random.
    """

    def __init__(self) -> None:
        self._files: dict[Path, _File] = {}
        self._history: list[dict[Path, _File]] = []  # names as they were before each change
        self._locked: set[Path] = set()

    def lose_power(self, chance: random.Random) -> None:
        """Every process is gone, and what was not synced, up to a random moment."""
        states = [*self._history, self._files]
        self._files = dict(states[chance.randrange(len(states))])
        for file in self._files.values():
            file.data = file.data[: chance.randint(file.n_synced, len(file.data))]
            file.n_synced = len(file.data)
        self._history.clear()
        self._locked.clear()

    def lock(self, folder: Path) -> Callable[[], None]:
        """See ``Disk``."""
        if folder in self._locked:
            raise BlockingIOError(errno.EAGAIN, "it is in use by process 0")
        self._locked.add(folder)
        return lambda: self._locked.discard(folder)

    def names(self, folder: Path) -> list[str]:
        """See ``Disk``."""
        return [path.name for path in self._files if path.parent == folder]

    def read(self, path: Path) -> bytes:
        """See ``Disk``."""
        return self._existing(path).data

    def write(self, path: Path, data: bytes) -> None:
        """See ``Disk``."""
        if path in self._files:
            raise FileExistsError(errno.EEXIST, "File exists", str(path))
        self._remember()
        self._files[path] = _File(data, len(data))

    def append(self, path: Path, data: bytes) -> None:
        """See ``Disk``."""
        if path not in self._files:
            self._remember()
            self._files[path] = _File(b"", 0)
        self._files[path].data += data

    def sync(self, path: Path) -> None:
        """See ``Disk``."""
        file = self._existing(path)
        file.n_synced = len(file.data)

    def rename(self, path: Path, onto: Path) -> None:
        """See ``Disk``."""
        file = self._existing(path)
        self._remember()
        del self._files[path]
        self._files[onto] = file

    def remove(self, path: Path) -> None:
        """See ``Disk``."""
        self._existing(path)
        self._remember()
        del self._files[path]

    def sync_folder(self, folder: Path) -> None:
        """See ``Disk``."""
        self._history.clear()

    def _remember(self) -> None:
        self._history.append(dict(self._files))

    def _existing(self, path: Path) -> _File:
        if path not in self._files:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(path))
        return self._files[path]
