"""The few things that a safe file needs of a disk, so that a test can pass one that fails."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

MAX_FILE_BYTES = 8 << 30
_LOCK = "lock"


class Disk(Protocol):
    """A folder's worth of files. Every call may raise ``OSError``."""

    def lock(self, folder: Path) -> Callable[[], None]:
        """Make the folder if its parent exists, and be its one writer; what undoes the lock.

        Raises:
            BlockingIOError: another process is, or this one a second time; the text names it.
        """

    def names(self, folder: Path) -> list[str]:
        """Names in a folder, in no order."""

    def read(self, path: Path) -> bytes:
        """All of a regular file."""

    def write(self, path: Path, data: bytes) -> None:
        """Create a file that must not exist, write it, and make its content durable."""

    def append(self, path: Path, data: bytes) -> None:
        """Add to the end of a file, which is made if need be; durable only after ``sync``."""

    def sync(self, path: Path) -> None:
        """Make the content of a file durable."""

    def rename(self, path: Path, onto: Path) -> None:
        """Give a file another name, at once; ``onto`` is replaced."""

    def remove(self, path: Path) -> None:
        """Delete a file."""

    def sync_folder(self, folder: Path) -> None:
        """Make the names in a folder durable."""


class RealDisk:
    """The operating system's files."""

    def lock(self, folder: Path) -> Callable[[], None]:
        """See ``Disk``; the lock ends with the process, however that ends."""
        folder.mkdir(exist_ok=True, mode=0o700)
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.read(descriptor, 20).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise BlockingIOError(errno.EAGAIN, f"it is in use by process {owner}") from error
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        return lambda: os.close(descriptor)

    def names(self, folder: Path) -> list[str]:
        """See ``Disk``."""
        return os.listdir(folder)

    def read(self, path: Path) -> bytes:
        """See ``Disk``; a symbolic link, device, pipe or folder is refused, and never waited on."""
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise OSError(errno.EINVAL, "not a regular file", str(path))
            if status.st_size > MAX_FILE_BYTES:
                raise OSError(errno.EFBIG, f"more than {MAX_FILE_BYTES} bytes", str(path))
            return file.read(status.st_size)

    def write(self, path: Path, data: bytes) -> None:
        """See ``Disk``."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def append(self, path: Path, data: bytes) -> None:
        """See ``Disk``."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(path, flags, 0o600), "wb", buffering=0) as file:
            left = memoryview(data)
            while left:
                left = left[file.write(left) :]

    def sync(self, path: Path) -> None:
        """See ``Disk``."""
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def rename(self, path: Path, onto: Path) -> None:
        """See ``Disk``."""
        path.replace(onto)

    def remove(self, path: Path) -> None:
        """See ``Disk``."""
        path.unlink()

    def sync_folder(self, folder: Path) -> None:
        """See ``Disk``."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
