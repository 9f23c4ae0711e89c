"""One wrong argument at a time, for every public method: the error is typed, and the same on every storage."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from partner_vouchers import Limit, PartnerVouchers, PercentUsed, PointsCredited, RepeatPolicy
from partner_vouchers.adapters.memory import MemoryStorage
from partner_vouchers.adapters.postgres import PostgresStorage
from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.domain.delivery import RetryPolicy
from partner_vouchers.domain.uploads import FileFaultKind
from partner_vouchers.errors import HostTransactionError, InvalidInput, PartnerVouchersError, UnknownSink
from partner_vouchers.ports import Storage
from tests.support.host import EXPIRY, FixedClock, Host
from tests.support.postgres import a_storage
from tests.support.promo import an_event
from tests.support.sinks import ScriptedSink

WRONG: dict[str, Callable[[], object]] = {
    "an object": object,
    "None": lambda: None,
    "True": lambda: True,
    "5": lambda: 5,
    "-1": lambda: -1,
    "a huge number": lambda: 10**30,
    "a number of 5,000 digits": lambda: 10**5000,
    "1.5": lambda: 1.5,
    "NaN": lambda: float("nan"),
    "infinity": lambda: float("inf"),
    "a decimal NaN": lambda: Decimal("nan"),
    "bytes": lambda: b"x",
    "an empty string": lambda: "",
    "a blank": lambda: " ",
    "NUL": lambda: "a\0b",
    "a line break": lambda: "a\nb",
    "a surrogate": lambda: "\ud800",
    "256 characters": lambda: "x" * 256,
    "100,000 characters": lambda: "₹" * 100_000,
    "an empty list": list,
    "a list in a list": lambda: [[]],
    "an empty mapping": dict,
    "a mapping": lambda: {"a": 1},
    "a set": lambda: {1},
    "a generator": lambda: (each for each in [1]),
    "strings of a generator": lambda: (each for each in ["\ud800"]),
    "a range": lambda: range(3),
    "a class": lambda: int,
    "a function": lambda: len,
    "a naive datetime": lambda: datetime(2099, 1, 1),  # noqa: DTZ001
    "a date": lambda: date(2099, 1, 1),
    "the last date": lambda: date.max,
    "a time span": lambda: timedelta.max,
    "a path": lambda: Path("nowhere") / "missing.csv",
    "a zone": lambda: ZoneInfo("Asia/Kolkata"),
    "a percentage": lambda: PercentUsed("many"),  # type: ignore[arg-type]
    "another enum": lambda: FileFaultKind.NOT_CSV,
    "an exception": lambda: ValueError("x"),
}

# Under which name a wrong value is refused, where that is not the name of the argument.
FIELDS: dict[str, str | tuple[str, ...]] = {"sinks": "sink", "source": ("source", "filename")}


class Scene:
    """A host with something of everything."""

    def __init__(self, storage: Storage) -> None:
        self.host = Host(storage, FixedClock())
        self.vouchers = self.host.vouchers
        self.list_id = self.host.a_list(*"ABCDEFGH", campaign="CMP").id
        self.upload_id = self.host.upload(self.list_id, "I", "no code").id
        reward = self.vouchers.codes.assign(campaign_id="CMP", user_id="ann", idempotency_key="order-1")
        self.assignment_id = reward.id
        self.vouchers.redemptions.add("A", "order-2")
        self.report_id = self.vouchers.redemptions.upload(
            b"code\nA\n", partner="Puma", filename="used.csv", uploaded_by="ops"
        ).id
        self.sink = ScriptedSink()

    def good(self, group: str, method: str) -> dict[str, Any]:
        """Return arguments with which a method would succeed, one at least for each of its parameters."""
        if (group, method) in {("lists", each) for each in ("delete", "archive", "pause", "activate")}:
            self.list_id = self.host.a_list("P").id
        if method == "activate":
            self.vouchers.lists.pause(self.list_id)
        version = self.vouchers.lists.get(self.list_id).version
        new = {
            "partner": "Puma", "tag": "new", "name": "New", "description": "d", "expires_at": EXPIRY.date(),
            "zone": ZoneInfo("Asia/Kolkata"), "low_stock_at": 3, "actor": "ops",
        }  # fmt: skip
        known: dict[str, Any] = {
            "list_id": self.list_id, "assignment_id": self.assignment_id,
            "status": None, "upload_id": self.upload_id, "campaign_id": "CMP",
            "user_id": "ann",
            "user_ids": ["ann", "ben"], "code": "A", "actor": "ops", "version": version, "after": None,
            "limit": 10, "name": "Nike", "source": b"X\nY\n", "filename": "codes.csv", "uploaded_by": "ops",
            "idempotency_key": "order-2", "context": {}, "contexts": {}, "partial": True, "expired": False,
            "remaining": True, "raw": False, "force": True, "add_partner": False, "header": None, "encoding": "utf-8",
            "progress": None, "after_line": 0, "repeat": RepeatPolicy.SAME_CODE, "priority": 1,
            "eligibility": None, "sink": "crm", "event": an_event(PointsCredited), "from_now": False,
            "newest_first": True,
            "retry": RetryPolicy(), "interval": 1.0, "ids": [], "sinks": self.sink,
            "partner": "Puma", "order_id": "order-3", "redeemed_at": None, "amount": None,
            "report_id": self.report_id, "kinds": None, "older_than": timedelta(0), "since": None, "until": None,
            "expiring_soon": timedelta(days=7), "revoked": True, "reason": "refund", "restock": False,
            "limits": [Limit(1, per="user")], "ttl": timedelta(minutes=5), "reservation_id": "unknown",
        }  # fmt: skip
        special: dict[tuple[str, str], dict[str, Any]] = {
            ("lists", "create"): new,
            ("lists", "ensure"): new,
            ("lists", "edit"): {**new, "list_id": self.list_id, "version": version, "expires_at": EXPIRY.date()},
            ("lists", "find"): {
                "partner": "Puma", "tag": "tag_1", "status": "Active", "text": "w", "sort": "tag"
            },
            ("events", "deliver"): {"sink": self.sink},
            ("redemptions", "upload"): {
                "source": b"code\nA\n", "zone": UTC, "list_id": None, "partner": "Puma",
            },
            ("redemptions", "revert"): {"order_id": "order-2"},
            ("codes", "unredeemed"): {"list_id": None},
        }  # fmt: skip
        if group == "codes" and method in {"assign", "assign_many", "reserve", "preview", "reservations"}:
            known["list_id"] = None
        return {**known, **special.get((group, method), {})}


def methods() -> Iterator[tuple[str, str, inspect.Signature]]:
    vouchers = PartnerVouchers(MemoryStorage())
    for group, each in vars(vouchers).items():
        if group.startswith("_"):
            continue
        for name, method in inspect.getmembers(each, inspect.ismethod):
            if not name.startswith("_"):
                yield group, name, inspect.signature(method)


METHODS = {(group, name): signature for group, name, signature in methods()}
CALLS = [
    (group, name, parameter)
    for (group, name), signature in METHODS.items()
    for parameter in signature.parameters
]


def call(scene: Scene, group: str, name: str, parameter: str, wrong: object) -> str:
    """Call a method with one wrong argument; return what came of it."""
    arguments = {**scene.good(group, name), parameter: wrong}
    if (
        parameter == "list_id"
        and group == "codes"
        and name.startswith(("assign", "unredeemed", "reserve", "preview"))
    ):
        arguments["campaign_id"] = None
    if parameter == "list_id" and (group, name) == ("codes", "reservations"):
        arguments["user_id"] = None
    if parameter == "list_id" and (group, name) == ("redemptions", "upload"):
        arguments["partner"] = None
    missing = METHODS[group, name].parameters.keys() - arguments.keys()
    assert not missing, f"add an example of {missing} to Scene.good"
    positional = [
        arguments[each.name]
        for each in METHODS[group, name].parameters.values()
        if each.kind is inspect.Parameter.VAR_POSITIONAL
    ]
    named = {
        each.name: arguments[each.name]
        for each in METHODS[group, name].parameters.values()
        if each.kind is not inspect.Parameter.VAR_POSITIONAL and each.name in arguments
    }
    try:
        found = getattr(getattr(scene.vouchers, group), name)(*positional, **named)
        if hasattr(found, "read"):
            found.read()
        elif inspect.isgenerator(found):
            list(found)
    except InvalidInput as error:
        return f"{type(error).__name__}: {error.field}"
    except PartnerVouchersError as error:
        return type(error).__name__
    return "done"


@contextmanager
def in_memory() -> Iterator[Storage]:
    yield MemoryStorage()


def opened(kind: str, tmp_path: Path) -> AbstractContextManager[Storage]:
    if kind == "postgres":
        return a_storage()
    if kind == "sqlite":
        return nullcontext(SQLiteStorage(tmp_path / "vouchers.db", synchronous="NORMAL"))
    return in_memory()


@pytest.mark.parametrize("group, name", METHODS)
def test_an_argument_of_no_known_type_is_refused_by_its_name(group: str, name: str) -> None:
    scene = Scene(MemoryStorage())
    for parameter in METHODS[group, name].parameters:
        with_object = call(scene, group, name, parameter, object())
        expected = FIELDS.get(parameter, parameter)
        fields = expected if isinstance(expected, tuple) else (expected,)
        kind, _, field = with_object.partition(": ")
        assert kind.startswith("Invalid"), f"{parameter}: {with_object}"
        assert field.partition(".")[0] in fields, f"{parameter}: {with_object}"


def tried(kind: str, tmp_path: Path, chosen: list[tuple[str, str, str, str]]) -> None:
    """Try wrong arguments on a storage, and require the same of it as of the memory storage."""
    known: tuple[str, str] | None = None
    with opened(kind, tmp_path) as storage:
        scene = Scene(storage)
        memory = Scene(MemoryStorage())
        for group, name, parameter, wrong in chosen:
            if known != (group, name):
                known = group, name
                memory.list_id = memory.host.a_list("P", "Q").id
                scene.list_id = scene.host.a_list("P", "Q").id
            make = WRONG[wrong]
            outcome = call(scene, group, name, parameter, make())
            assert outcome == call(memory, group, name, parameter, make()), (group, name, parameter, wrong)
        if isinstance(storage, SQLiteStorage | PostgresStorage):
            storage.close()


ALL = [
    (*each, wrong)
    for each in CALLS
    for wrong in WRONG
    # What a host's own function raises is the host's.
    if not (each[2] == "progress" and wrong in ("a class", "a function"))
]


@pytest.mark.parametrize("kind", ["memory", "sqlite", "postgres"])
def test_some_wrong_arguments_are_typed_errors_and_the_same_everywhere(kind: str, tmp_path: Path) -> None:
    # Each argument gets a few values, another argument others.
    tried(kind, tmp_path, ALL[:: {"memory": 47, "sqlite": 211, "postgres": 907}[kind]])


@pytest.mark.deep
@pytest.mark.parametrize("group, name", METHODS)
@pytest.mark.parametrize("kind", ["memory", "sqlite", "postgres"])
def test_all_wrong_arguments_are_typed_errors_and_the_same_everywhere(
    kind: str, group: str, name: str, tmp_path: Path
) -> None:
    tried(kind, tmp_path, [each for each in ALL if each[:2] == (group, name)])


# --- making the library ------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_no_storage_is_refused_before_anything_is_done(wrong: str) -> None:
    with pytest.raises(InvalidInput, match=r"such as SQLiteStorage\(") as refused:
        PartnerVouchers(WRONG[wrong]())  # type: ignore[arg-type]
    assert refused.value.field == "storage"


@pytest.mark.parametrize("storage", ["v.db", SQLiteStorage, Path("v.db")], ids=str)
def test_the_path_of_a_file_is_no_storage(storage: Any) -> None:
    with pytest.raises(InvalidInput, match=r"SQLiteStorage\(\"vouchers\.db\"\)"):
        PartnerVouchers(storage)


@pytest.mark.parametrize("argument", ["duplicates", "code_format", "clock", "eligibility", "keep_events"])
@pytest.mark.parametrize("wrong", WRONG)
def test_a_policy_of_a_wrong_type_is_refused_by_its_name(argument: str, wrong: str) -> None:
    value = WRONG[wrong]()
    policies: dict[str, Any] = {argument: value}
    harmless = {
        "clock": ["a class", "a function"],
        "eligibility": ["an empty mapping"],
        "keep_events": ["a time span"],
    }
    if value is None or wrong in harmless.get(argument, []):
        PartnerVouchers(MemoryStorage(), **policies)
        return
    with pytest.raises(InvalidInput) as refused:
        PartnerVouchers(MemoryStorage(), **policies)
    assert refused.value.field.partition(".")[0] == argument


@pytest.mark.parametrize("wrong", WRONG)
def test_a_clock_that_tells_no_instant_is_refused_by_its_name(wrong: str) -> None:
    value = WRONG[wrong]()
    vouchers = PartnerVouchers(MemoryStorage(), clock=lambda: value)  # type: ignore[arg-type, return-value]
    calls: list[Callable[[], object]] = [
        vouchers.lists.find,
        lambda: vouchers.partners.add("Puma"),
        lambda: vouchers.codes.of_user("ann"),
        lambda: vouchers.events.backlog("crm"),
    ]
    for each in calls:
        with pytest.raises((InvalidInput, UnknownSink)) as refused:
            each()
        assert isinstance(refused.value, UnknownSink) or getattr(refused.value, "field", "") == "clock"


@pytest.mark.parametrize("kind", ["memory", "sqlite", "postgres"])
def test_what_is_no_connection_is_a_host_transaction_error(kind: str, tmp_path: Path) -> None:
    with opened(kind, tmp_path) as storage:
        vouchers = PartnerVouchers(storage)
        for make in WRONG.values():
            with pytest.raises(HostTransactionError):
                vouchers.using(make())
