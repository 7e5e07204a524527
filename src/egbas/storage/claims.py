# SPDX-License-Identifier: MIT
"""Who works on what: claims that the kernel frees when a process ends, however it ends.

A claim is a lock on one byte of a file, whose position is taken from the name of what is claimed. There is no file for
each claim, none is left over, and none is ever stale. Locks of this kind hold between machines on NFS version 4 and,
with its lock service, version 3; on Lustre where it is mounted with ``flock``. Where a file system has no locks, every
claim is granted: work may then be done twice, and is still written once.
"""

import contextlib
import errno
import fcntl
import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path

FILE = "claims"
_DIGITS = 15  # of hexadecimals: 60 bits, for a position has at most 63
_HELD = errno.EAGAIN, errno.EACCES
_NO_LOCKS = errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL
_SETLK = getattr(fcntl, "F_OFD_SETLK", None)  # of an open file, not of a process: threads exclude one another, too
_PAUSE = 0.05  # seconds
_USERS = 1 << 62  # the position that all users of a folder share: no name has it


class Claims:
    """The claims on what a folder holds; each object has an open file of its own, and may live in any process."""

    def __init__(self, folder: Path) -> None:
        """Open the file of the locks; the folder exists.

        Raises:
            OSError: it cannot be opened.
        """
        self._fd = os.open(folder / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        self.has_locks = True  # as far as is known

    @contextlib.contextmanager
    def of(self, name: str) -> Iterator[bool]:
        """Claim something, while the context lasts.

        Args:
            name: hexadecimal digits, at least 15.

        Yields:
            Whether the claim was granted; if not, somebody else holds it.
        """
        granted = self._lock(name, fcntl.F_WRLCK)
        try:
            yield granted
        finally:
            if granted:
                self._lock(name, fcntl.F_UNLCK)

    @contextlib.contextmanager
    def wait(self, name: str) -> Iterator[None]:
        """Claim something as soon as nobody else holds it."""
        while not self._lock(name, fcntl.F_WRLCK):
            time.sleep(_PAUSE)
        try:
            yield
        finally:
            self._lock(name, fcntl.F_UNLCK)

    def use(self) -> None:
        """Say that somebody uses the folder, until ``leave``."""
        self._lock_at(_USERS, fcntl.F_RDLCK)

    def leave(self) -> None:
        """Say that this user has gone."""
        self._lock_at(_USERS, fcntl.F_UNLCK)

    def is_sole_user(self) -> bool:
        """Whether nobody else does; from then on nobody else can begin to, until ``leave``."""
        return self._lock_at(_USERS, fcntl.F_WRLCK)

    @property
    def frees_its_own(self) -> bool:
        """Whether closing the file frees the claims of this object alone, not all of this process."""
        return _SETLK is not None

    def close(self) -> None:
        """Close the file; that frees what is still held."""
        os.close(self._fd)

    def _lock(self, name: str, kind: int) -> bool:
        return self._lock_at(int(name[:_DIGITS], 16), kind)

    def _lock_at(self, position: int, kind: int) -> bool:
        try:
            if _SETLK is not None:
                fcntl.fcntl(self._fd, _SETLK, struct.pack("hhqqi4x", kind, os.SEEK_SET, position, 1, 0))
            else:
                kinds = {fcntl.F_UNLCK: fcntl.LOCK_UN, fcntl.F_RDLCK: fcntl.LOCK_SH, fcntl.F_WRLCK: fcntl.LOCK_EX}
                fcntl.lockf(self._fd, kinds[kind] | fcntl.LOCK_NB, 1, position, os.SEEK_SET)
        except OSError as error:
            if error.errno in _HELD:
                return False
            if error.errno in _NO_LOCKS:
                self.has_locks = False
                return True
            raise
        return True
