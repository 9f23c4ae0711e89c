"""A disk below SQLite whose every sync takes a while."""

from __future__ import annotations

import ctypes
import time
from typing import Any

from tests.reliability import vfs


class SlowDisk(vfs._Disk):
    """The disk of `tests.reliability.vfs`, which only the syncs pass through."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    def _wrapped(self, address: int) -> int:
        for known, (real, _) in self._methods.items():
            if ctypes.addressof(real) == address:
                return known
        real = vfs._Methods.from_address(address)
        mine = vfs._Methods.from_buffer_copy(real)
        mine.sync = vfs._Sync(self._sync)
        self._methods[ctypes.addressof(mine)] = (real, mine)
        return ctypes.addressof(mine)

    def _sync(self, file: Any, flags: int) -> int:
        time.sleep(self._seconds)
        return vfs.OK
