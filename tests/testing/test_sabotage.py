"""The contract finds what is wrong, by the test that is named for it."""

from __future__ import annotations

import inspect
import re
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from partner_vouchers.testing import StorageContract, StorageMachine, UnsupportedHook
from tests.support.contracts import InMemory, InSQLite
from tests.testing.sabotage.adapters import FAULTS, FOUND, MISTAKES, THE_MACHINE, Fault
from tests.testing.sabotage.answers import ANSWERS
from tests.testing.sabotage.edges import EDGES
from tests.testing.sabotage.files import FILES
from tests.testing.sabotage.life import LIFE
from tests.testing.sabotage.races import RACES
from tests.testing.sabotage.values import VALUES

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "testing.md"

IN_MEMORY = FAULTS + EDGES + VALUES + ANSWERS + RACES + LIFE
BY_A_TEST = [
    (adapter, fault)
    for adapter, faults in ((InMemory, IN_MEMORY), (InSQLite, FILES))
    for fault in faults
    if fault.named_test != THE_MACHINE
]
BY_THE_MACHINE = [fault for fault in IN_MEMORY if fault.named_test == THE_MACHINE]
QUICKLY_FOUND = {
    "archived codes still blocking",
    "count drift",
    "delivery that begins anew",
    "forgotten user whose codes are kept",
    "key reuse undetected",
    "lost outbox row",
}
"""Those that the machine is seen to find in each run; the others in deep runs."""


def is_deep(index: int, fault: Fault) -> bool:
    """Tell whether a fault is left to deep runs: of the long matrix of bent values, all but some."""
    if fault.named_test == THE_MACHINE:
        return fault.name not in QUICKLY_FOUND
    return fault in VALUES and index % 5 != 0


def each(faults: list[Any]) -> list[Any]:
    """Return faults as parameters."""
    found = []
    for index, given in enumerate(faults):
        fault = given[-1] if isinstance(given, tuple) else given
        marks = [pytest.mark.deep] if is_deep(index, fault) else []
        arguments = given if isinstance(given, tuple) else (given,)
        found.append(pytest.param(*arguments, id=fault.name, marks=marks))
    return found


pytestmark = pytest.mark.usefixtures("no_shrinking")


def run_test(contract: StorageContract, named_test: str, place: Path) -> None:
    """Run one test of the contract, without pytest, as pytest would."""
    name, _, value = named_test.removesuffix("]").partition("[")
    test = getattr(contract, name)
    wanted = inspect.signature(test).parameters
    with ExitStack() as stack:
        given: dict[str, Any] = {"tmp_path": place}
        for mark in getattr(test, "pytestmark", ()):
            known = {str(each): each for each in mark.args[1]}
            given[mark.args[0]] = known.get(value, next(iter(known.values())))
        if "storage" in wanted:
            storage = given["storage"] = contract.new_storage(place)
            stack.callback(contract.close, storage)
            second = contract.second_connection(storage, place)
            given["other"] = storage if isinstance(second, UnsupportedHook) else second
            stack.callback(contract.close, given["other"])
        if "monkeypatch" in wanted:
            given["monkeypatch"] = stack.enter_context(pytest.MonkeyPatch.context())
        test(**{name: given[name] for name in wanted})


@pytest.mark.parametrize("adapter, fault", each(BY_A_TEST))
def test_the_test_named_for_a_fault_finds_it(
    adapter: type[StorageContract], fault: Fault, tmp_path: Path
) -> None:
    with fault.at_work(), pytest.raises(FOUND) as found:
        run_test(adapter(), fault.named_test, tmp_path)
    assert not isinstance(found.value, MISTAKES)


@pytest.mark.parametrize("fault", each(BY_THE_MACHINE))
def test_the_machine_finds_it(fault: Fault) -> None:
    with fault.at_work(), pytest.raises(FOUND) as found:
        run_state_machine_as_test(
            lambda: StorageMachine(InMemory()),  # type: ignore[arg-type]
            settings=settings(max_examples=2_000, stateful_step_count=50),
        )
    assert not isinstance(found.value, MISTAKES)


def test_the_reference_names_no_more_faults_than_there_are() -> None:
    told = re.findall(r"^\| in .* \| (\d+) \| .* \|$", REFERENCE.read_text(encoding="utf-8"), re.MULTILINE)
    there = (IN_MEMORY, RACES, FILES)
    assert all(int(number) <= len(faults) for number, faults in zip(told, there, strict=True))
    (machine,) = re.findall(r"The machine alone finds (\d+) of them", REFERENCE.read_text(encoding="utf-8"))
    assert int(machine) <= len(BY_THE_MACHINE)
