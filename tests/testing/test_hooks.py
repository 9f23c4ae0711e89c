"""What a host must not get wrong silently: a hook it forgot, a test it replaced, a reason it did not state."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from partner_vouchers.adapters.memory import MemoryStorage
from partner_vouchers.testing import StorageContract, overrides_contract, unsupported

HOST = '''
from partner_vouchers.adapters.memory import MemoryStorage, lists
from partner_vouchers.testing import StorageContract, overrides_contract, unsupported


in_order = lists.Partners.all


class TestForgetful(StorageContract):
    """Implements one hook, and neither implements nor declares the others."""

    def new_storage(self, place):
        return MemoryStorage()

    def reopen(self, storage, place):
        return unsupported("all is gone with the process")

    @overrides_contract(reason="this host has a rule of its own")
    def test_a_lease_goes_to_one_of_two(self):
        pass


class TestEmpty(StorageContract):
    pass


class TestBackward(TestForgetful):
    def test_partners_and_sinks_are_ordered_by_code_points(self, storage, monkeypatch):
        monkeypatch.setattr(lists.Partners, "all", lambda self: in_order(self)[::-1])
        StorageContract.test_partners_and_sinks_are_ordered_by_code_points(self, storage)

    test_partners_and_sinks_are_ordered_by_code_points.__contract_override__ = "so that it fails"
'''


def test_what_is_missing_fails_and_what_is_declared_is_skipped(tmp_path: Path) -> None:
    file = tmp_path / "test_host.py"
    file.write_text(HOST, encoding="utf-8")
    tests = "reopening or dies or test_a_lease_goes or settings_are_kept or Backward and code_points"
    command = ["-m", "pytest", str(file), "-k", tests, "-p", "no:cacheprovider", "-rsfE", "-c", "/dev/null"]
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, encoding="utf-8", check=False, cwd=tmp_path
    )
    shown = done.stdout
    assert done.returncode == 1, shown
    assert "TestForgetful does not implement the hook 'second_process'; write: def second_process" in shown
    assert "TestEmpty does not implement the hook 'new_storage'" in shown
    assert "all is gone with the process" in shown
    assert "test_host.py::TestForgetful::test_settings_are_kept" not in shown
    # The assertions of the kit tell the values.
    assert "At index 0 diff" in shown
    assert "1 passed" not in shown.splitlines()[-1]


def test_a_test_of_the_contract_is_not_replaced_without_a_reason() -> None:
    with pytest.raises(
        TypeError, match="test_a_code_and_an_ordinal_are_assigned_once replaces a test of the contract"
    ):

        class Careless(StorageContract):
            def test_a_code_and_an_ordinal_are_assigned_once(self) -> None:  # type: ignore[override]
                pass

    class Mixin:
        test_a_key_is_stored_once = None

    with pytest.raises(TypeError, match="test_a_key_is_stored_once"):

        class Sly(Mixin, StorageContract):  # type: ignore[misc]
            pass


def test_a_test_is_replaced_with_a_reason() -> None:
    class Careful(StorageContract):
        @overrides_contract(reason="codes of this host may be shared")
        def test_a_code_and_an_ordinal_are_assigned_once(self) -> None:  # type: ignore[override]
            pass

    class Heir(Careful):
        pass

    Heir().test_a_code_and_an_ordinal_are_assigned_once()


def test_a_test_that_is_not_there_is_not_replaced() -> None:
    with pytest.raises(TypeError, match=r"Late\.test_a_code_is_given_once overrides no test of the contract"):

        class Late(StorageContract):
            @overrides_contract(reason="codes of this host may be shared")
            def test_a_code_is_given_once(self) -> None:
                pass


@pytest.mark.parametrize("reason", ["", "  "])
def test_a_reason_says_something(reason: str) -> None:
    with pytest.raises(TypeError):
        unsupported(reason)
    with pytest.raises(TypeError):
        overrides_contract(reason=reason)


def test_a_host_may_add_tests_of_its_own(tmp_path: Path) -> None:
    class WithMore(StorageContract):
        def new_storage(self, place: Path) -> MemoryStorage:
            return MemoryStorage()

        def test_something_of_the_hosts(self) -> None:
            assert self.new_storage(tmp_path) is not None

    WithMore().test_something_of_the_hosts()
