"""Uploads whose process dies, or stops, at a chosen moment."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event as Signal
from typing import Any

import pytest

from partner_vouchers import Upload
from partner_vouchers.usecases import uploads as uploads_module
from partner_vouchers.usecases.importing import ImportRun
from tests.support.host import PATIENCE, Host


def the_entry(host: Host, list_id: str) -> Upload:
    (entry,) = [each for each in host.vouchers.uploads.find(list_id=list_id) if each.is_running]
    return entry


class Killed(BaseException):
    """Stands for the end of the process: nothing of the library runs after it."""


def die(*_arguments: object, **_more: object) -> Any:
    raise Killed


Kill = Callable[[pytest.MonkeyPatch], None]


def before_the_file_was_stored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(uploads_module, "keep_original", die)
    patch.setattr(ImportRun, "fail", die)


def before_the_file_was_checked(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ImportRun, "run", die)
    patch.setattr(ImportRun, "fail", die)


def before_the_codes_were_published(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ImportRun, "_end", die)


RESUMED = [before_the_file_was_checked, before_the_codes_were_published]
ALL_MOMENTS = [before_the_file_was_stored, *RESUMED]


def kill(host: Host, moment: Kill, list_id: str, *codes: str, **options: Any) -> Upload:
    """Upload these codes and die on the way; return the entry that is left."""
    with pytest.MonkeyPatch.context() as patch:
        moment(patch)
        with pytest.raises(Killed):
            host.upload(list_id, *codes, **options)
    return the_entry(host, list_id)


class Stop:
    """Makes the first thread that calls a method wait at its end, until it may go on."""

    def __init__(self, patch: pytest.MonkeyPatch, owner: type, name: str) -> None:
        self.reached, self.go_on = Signal(), Signal()
        original: Callable[..., Any] = getattr(owner, name)

        def stopping(*args: Any, **kwargs: Any) -> Any:
            found = original(*args, **kwargs)
            if not self.reached.is_set():
                self.reached.set()
                assert self.go_on.wait(PATIENCE)
            return found

        patch.setattr(owner, name, stopping)
