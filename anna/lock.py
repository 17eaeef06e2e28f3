"""One run at a time in a place: a lock that a process holds until it ends, however it ends.

The operating system keeps the lock and frees it with the process, so that none is left behind by a
kill. Where a file system knows no locks, or nothing can be written, work goes on without.
"""

import contextlib
import errno
import logging
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from anna.patience import patiently
from anna.workspace import named_when_full

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None
    import msvcrt

log = logging.getLogger(__name__)
_POLL = 0.2  # seconds between two looks at a lock that another run holds
_HELD = {errno.EAGAIN, errno.EACCES, errno.EDEADLK}
_NO_WRITING = {errno.EACCES, errno.EPERM, errno.EROFS}
_FAR = 1 << 30  # the byte that Windows locks; those that tell the holder stay readable


class BusyError(OSError):
    """Another run is at work here; the message names the place and the process."""


@contextlib.contextmanager
def alone(path: str | os.PathLike, *, wait: bool) -> Iterator[None]:
    """Holds the lock while the block runs.

    Args:
        path: Of the lock's file, made here and removed at the end (on Windows it stays).
        wait: Whether to wait for another run to end, or to refuse at once.

    Raises:
        BusyError: If another run holds the lock and `wait` is False.
    """
    path, told = Path(path), False
    while (handle := patiently(_taken, path)) is None:
        holder = _holder(path)
        if not wait:
            raise BusyError(
                "Another run is at work here; wait for it to end, or end it. "
                f"Received: {path}, {holder}"
            )
        if not told:
            log.warning("%s: waits for another run, %s", path, holder)
        told = True
        time.sleep(_POLL)
    try:
        yield
    finally:
        if handle >= 0:
            if fcntl:
                path.unlink(missing_ok=True)
            os.close(handle)


def _taken(path: Path) -> int | None:
    """Returns a handle that holds the lock, -1 where there are no locks, None if another has it."""
    while True:
        try:
            with named_when_full(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            if error.errno in _NO_WRITING:
                return -1
            raise
        try:
            _lock(handle)
        except OSError as error:
            os.close(handle)
            if error.errno in _HELD:
                return None
            log.info("%s: no locks here: %s", path, error)
            return -1
        try:
            taken = _is(handle, path)
        except OSError:
            os.close(handle)  # else the next try would meet this one's lock
            raise
        if taken:
            _sign(handle)
            return handle
        os.close(handle)  # its holder has just removed it


def _lock(handle: int) -> None:
    if fcntl:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    else:
        os.lseek(handle, _FAR, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        os.lseek(handle, 0, os.SEEK_SET)


def _sign(handle: int) -> None:
    """Writes who holds the lock, for others to read; it holds without, as on a full disk."""
    with contextlib.suppress(OSError):
        os.truncate(handle, 0)
        os.write(handle, f"process {os.getpid()} on {socket.gethostname()}".encode())


def _is(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _holder(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8") or "an unknown process"
    except OSError:
        return "an unknown process"
