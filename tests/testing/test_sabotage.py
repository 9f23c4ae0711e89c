"""The contract finds what is wrong, by the test that is named for it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from partner_vouchers.testing import StorageContract, StorageMachine, Unable
from tests.adapters.memory.test_contract import TestMemoryStorage as InMemory
from tests.adapters.sqlite.test_contract import TestSQLiteStorage as InSQLite
from tests.testing.sabotage.adapters import FAULTS, Fault
from tests.testing.sabotage.answers import ANSWERS
from tests.testing.sabotage.edges import EDGES
from tests.testing.sabotage.files import FILES
from tests.testing.sabotage.races import RACES
from tests.testing.sabotage.values import VALUES

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "testing.md"

FOUND = (Exception, pytest.fail.Exception)

IN_MEMORY = FAULTS + EDGES + VALUES + ANSWERS + RACES
SABOTAGED = [(InMemory, fault) for fault in IN_MEMORY] + [(InSQLite, fault) for fault in FILES]
each_fault = pytest.mark.parametrize(
    "adapter, fault", [pytest.param(adapter, fault, id=fault.name) for adapter, fault in SABOTAGED]
)


@pytest.fixture(autouse=True)
def no_shrinking() -> Iterator[None]:
    """A fault is to be found here, not explained."""
    before = settings.get_current_profile_name()
    settings.register_profile(
        "no shrinking",
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    settings.load_profile("no shrinking")
    yield
    settings.load_profile(before)


def run_test(contract: StorageContract, named_test: str, place: Path) -> None:
    """Run one test of the contract, without pytest, as pytest would."""
    test = getattr(contract, named_test)
    wanted = inspect.signature(test).parameters
    with ExitStack() as stack:
        given: dict[str, Any] = {"tmp_path": place, "archive_first": True, "remove_first": True}
        if "storage" in wanted:
            storage = given["storage"] = contract.new_storage(place)
            stack.callback(contract.close, storage)
            second = contract.second_connection(storage, place)
            other = given["other"] = storage if isinstance(second, Unable) else second
            stack.callback(contract.close, other)
            given["connections"] = [storage, other]
        if "monkeypatch" in wanted:
            given["monkeypatch"] = stack.enter_context(pytest.MonkeyPatch.context())
        test(**{name: given[name] for name in wanted})


@each_fault
def test_the_test_named_for_a_fault_finds_it(
    adapter: type[StorageContract], fault: Fault, tmp_path: Path
) -> None:
    with fault.at_work(), pytest.raises(FOUND) as found:
        run_test(adapter(), fault.named_test, tmp_path)
    # Those would be mistakes of the sabotage itself.
    assert not isinstance(
        found.value, (AttributeError, NameError, NotImplementedError, TypeError, pytest.skip.Exception)
    )


def test_the_reference_names_no_more_faults_than_there_are() -> None:
    told = re.findall(r"^\| in .* \| (\d+) \| .* \|$", REFERENCE.read_text(encoding="utf-8"), re.MULTILINE)
    there = (FAULTS + EDGES + VALUES + ANSWERS, RACES, FILES)
    assert all(int(number) <= len(faults) for number, faults in zip(told, there, strict=True))


@pytest.mark.parametrize("adapter, named_test", sorted({(a, f.named_test) for a, f in SABOTAGED}, key=str))
def test_the_named_test_passes_without_the_fault(
    adapter: type[StorageContract], named_test: str, tmp_path: Path
) -> None:
    run_test(adapter(), named_test, tmp_path)


BY_THE_MACHINE = [
    "rollback that keeps the code",
    "count drift",
    "archived codes still blocking",
    "in list duplicate after a top up",
    "expired list still assigning",
    "key reuse undetected",
]


@pytest.mark.parametrize("name", BY_THE_MACHINE)
def test_the_machine_alone_finds_it_too(name: str) -> None:
    [fault] = [fault for fault in FAULTS if fault.name == name]
    quiet = settings(derandomize=True, max_examples=100, stateful_step_count=30)
    with fault.at_work(), pytest.raises(FOUND):
        run_state_machine_as_test(lambda: StorageMachine(InMemory()), settings=quiet)  # type: ignore[arg-type]
