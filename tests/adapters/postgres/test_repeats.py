"""What the library does again by itself, with a real server in the way."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from typing import Any

import psycopg
import pytest
from psycopg import errors as pg

from partner_vouchers import PointsCredited, RepeatPolicy
from partner_vouchers.adapters.postgres import PostgresStorage, driver
from partner_vouchers.adapters.postgres.errors import translated
from partner_vouchers.adapters.postgres.transaction import PostgresTransaction
from partner_vouchers.domain.promo_events import VoucherRewarded
from partner_vouchers.errors import (
    CommitOutcomeUnknown,
    ConnectionLost,
    StorageBusy,
    StorageError,
    StorageUnavailable,
    TransactionConflict,
)
from tests.adapters.postgres.conftest import Connect, Connection, wait_until_waiting
from tests.support.host import PATIENCE, FixedClock, Host
from tests.support.postgres import connections_of, end, server
from tests.support.promo import an_event
from tests.support.sinks import ScriptedSink

Rule = Callable[[Mapping[str, object]], bool]


class Asked:
    """An eligibility rule that counts how often it is asked, and does something the first time."""

    def __init__(self, first: Callable[[], object] = lambda: None) -> None:
        self._first = first
        self.times: int = 0

    def __call__(self, context: Mapping[str, object]) -> bool:
        self.times += 1
        if self.times == 1:
            self._first()
        return True


@pytest.fixture
def open_host(schema: str) -> Iterator[Callable[..., Host]]:
    """Return what opens a storage, with settings of the server for its connections, and a rule for its campaign."""
    opened: list[PostgresStorage] = []

    def open_one(rule: Rule = Asked(), timeout: float = PATIENCE, **settings: str) -> Host:  # noqa: B008
        options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        conninfo = psycopg.conninfo.make_conninfo(server().conninfo, application_name=schema, options=options)
        opened.append(PostgresStorage(conninfo, schema=schema, timeout=timeout))
        return Host(opened[-1], FixedClock(), eligibility={"rule": rule})

    yield open_one
    for storage in opened:
        storage.close()


def a_campaign(host: Host) -> str:
    """Make a list in the campaign CMP, whose users meet the host's rule; return its id."""
    found = host.a_list("A", "B")
    host.vouchers.campaigns.link(found.id, "CMP", eligibility="rule")
    return found.id


def cut(schema: str) -> None:
    """End the one connection of the storage that is in a transaction."""
    (process,) = connections_of(schema, "state = 'idle in transaction'")
    end(process)


@pytest.fixture
def triggers(schema: str) -> Iterator[Callable[..., None]]:
    """Return what makes the host's own trigger on the assignments; `tries` counts how often it was called."""
    connection = psycopg.connect(server().conninfo, autocommit=True, options=f"-c search_path={schema}")

    def make(body: str, *, at_commit: bool = False) -> None:
        connection.execute(
            f"CREATE FUNCTION host_trigger() RETURNS trigger LANGUAGE plpgsql SET search_path = {schema} AS "
            f"$$ BEGIN PERFORM nextval('tries'); {body} RETURN NULL; END $$".encode()
        )
        kind = "CONSTRAINT TRIGGER" if at_commit else "TRIGGER"
        when = "DEFERRABLE INITIALLY DEFERRED" if at_commit else ""
        connection.execute(
            f"CREATE {kind} host_trigger AFTER INSERT ON pv_assignments {when} "
            "FOR EACH ROW EXECUTE FUNCTION host_trigger()".encode()
        )

    connection.execute("CREATE SEQUENCE tries")
    yield make
    connection.execute("DROP FUNCTION IF EXISTS host_trigger CASCADE")
    connection.execute("DROP SEQUENCE tries")
    connection.close()


def tries(schema: str) -> int:
    """Return how often the host's trigger was called: a sequence is not rolled back."""
    with psycopg.connect(server().conninfo) as connection:
        sql = f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {schema}.tries"
        return int(connection.execute(sql.encode()).fetchall()[0][0])


def require_given(host: Host, list_id: str, **users: str) -> None:
    """Check that these users have these codes, each once, with one event."""
    assert {each.user_id: each.code for each in host.vouchers.codes.assignments(list_id)} == users
    assert sorted(event.user_id for event in host.events(VoucherRewarded)) == sorted(users)
    assert sorted([*users.values(), *host.left(list_id)]) == ["A", "B"]
    assert host.vouchers.lists.get(list_id).distributed == len(users)


# --- conflicts -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host_commits", [True, False])
def test_a_deadlock_with_a_transaction_of_the_host_is_not_noticed(
    open_host: Callable[..., Host],
    connect: Connect,
    triggers: Callable[..., None],
    schema: str,
    host_commits: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The host adds up by a trigger what was given out. It has that row, and waits for the user of an assignment."""
    caplog.set_level(logging.INFO, "partner_vouchers.transactions")
    # The server gives up whoever looks for a deadlock first.
    connection = connect(options="-c deadlock_timeout=10min")

    def serve_ann() -> str:
        code = host.vouchers.using(connection).codes.assign(campaign_id="CMP", user_id="ann").code
        if host_commits:
            connection.commit()
        else:
            connection.rollback()
        return code

    with ThreadPoolExecutor(1) as threads:
        of_host = list[Future[str]]()

        def let_the_host_wait() -> None:
            of_host.append(threads.submit(serve_ann))
            wait_until_waiting(connection)

        rule = Asked(let_the_host_wait)
        host = open_host(rule, deadlock_timeout="10ms")
        found = a_campaign(host)
        connection.execute(f"CREATE TABLE {schema}.totals AS SELECT 0 AS given")
        connection.commit()
        triggers(f"UPDATE {schema}.totals SET given = given + 1;")
        connection.execute(f"UPDATE {schema}.totals SET given = 0")
        reward = host.vouchers.codes.assign(campaign_id="CMP", user_id="ann")
        assert of_host[0].result(PATIENCE) == "A"
    assert reward.replayed == host_commits
    require_given(host, found, ann=reward.code)
    assert connection.execute(f"SELECT given FROM {schema}.totals").fetchall() == [(1,)]
    (told,) = caplog.messages
    assert told.startswith("attempt 2 in a new transaction: the transaction got in the way of another one")


def conflict(code: str, *, times: int) -> str:
    """Return what gives a transaction up that has come to the host's trigger, so many times."""
    return f"IF currval('tries') <= {times} THEN RAISE EXCEPTION 'no' USING ERRCODE = '{code}'; END IF;"


@pytest.mark.parametrize("code, at_commit", [("40001", False), ("40P01", True)])
def test_what_the_server_gave_up_is_done_again(
    open_host: Callable[..., Host], triggers: Callable[..., None], schema: str, code: str, at_commit: bool
) -> None:
    host = open_host()
    found = a_campaign(host)
    triggers(conflict(code, times=2), at_commit=at_commit)
    assert host.vouchers.codes.assign(campaign_id="CMP", user_id="ann").code in "AB"
    assert tries(schema) == 3
    (given,) = host.vouchers.codes.assignments(found)
    require_given(host, found, ann=given.code)


def test_what_the_server_gives_up_again_and_again_is_told(
    open_host: Callable[..., Host], triggers: Callable[..., None], schema: str
) -> None:
    host = open_host()
    found = a_campaign(host)
    triggers(conflict("40001", times=100))
    with host.nothing_changes(), pytest.raises(TransactionConflict, match="call again") as caught:
        host.vouchers.codes.assign(campaign_id="CMP", user_id="ann")
    assert caught.value.attempts == tries(schema) == 3
    require_given(host, found)


def test_a_transaction_of_the_host_that_was_given_up_is_the_hosts_to_repeat(
    open_host: Callable[..., Host], connect: Connect, triggers: Callable[..., None], schema: str
) -> None:
    host = open_host()
    found = a_campaign(host)
    triggers(conflict("40001", times=1))
    connection = connect()
    connection.execute("INSERT INTO orders VALUES ('order-991', 'none')")
    joined = host.vouchers.using(connection)
    with pytest.raises(TransactionConflict, match="roll back") as caught:
        joined.codes.assign(campaign_id="CMP", user_id="ann")
    assert caught.value.attempts == tries(schema) == 1
    connection.rollback()
    reward = joined.codes.assign(campaign_id="CMP", user_id="ann")
    connection.commit()
    require_given(host, found, ann=reward.code)


def test_two_large_batches_that_serve_the_same_user_at_once(
    open_host: Callable[..., Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The users of those are not locked, for which the server would have no room."""
    monkeypatch.setattr(driver, "MOST_LOCKS", 0)

    def serve_ann_before() -> None:
        host.vouchers.codes.assign_many(["ann"], campaign_id="CMP")

    rule = Asked(serve_ann_before)
    host = open_host(rule)
    found = a_campaign(host)
    (reward,) = host.vouchers.codes.assign_many(["ann"], campaign_id="CMP").rewards
    assert (rule.times, reward.replayed) == (2, True)
    require_given(host, found, ann=reward.code)


def test_transactions_are_read_committed_whatever_the_server_says(open_host: Callable[..., Host]) -> None:
    """So that none of them meets a serialisation failure of its own."""
    host = open_host(default_transaction_isolation="serializable")
    with host.storage.begin() as tx:
        isolation = tx.session.execute("SELECT current_setting('transaction_isolation')").fetchall()  # type: ignore[attr-defined]
    assert isolation == [("read committed",)]


# --- lost connections ------------------------------------------------------------------------------------------


def test_a_connection_that_is_lost_in_the_middle_of_an_assignment_is_not_noticed(
    open_host: Callable[..., Host], schema: str
) -> None:
    rule = Asked(lambda: cut(schema))
    host = open_host(rule)
    found = a_campaign(host)
    reward = host.vouchers.codes.assign(campaign_id="CMP", user_id="ann", idempotency_key="order-991")
    assert (rule.times, reward.replayed) == (2, False)
    require_given(host, found, ann=reward.code)


def test_a_connection_of_the_host_that_is_lost_is_the_hosts_to_replace(
    open_host: Callable[..., Host], connect: Connect, schema: str
) -> None:
    rule = Asked(lambda: cut(schema))
    host = open_host(rule)
    found = a_campaign(host)
    joined = host.vouchers.using(connect(application_name=schema))
    with host.nothing_changes(), pytest.raises(ConnectionLost) as caught:
        joined.codes.assign(campaign_id="CMP", user_id="ann")
    assert (rule.times, caught.value.attempts) == (1, 1)
    require_given(host, found)


def test_a_connection_that_is_lost_while_it_commits_is_told_at_once(
    open_host: Callable[..., Host], triggers: Callable[..., None], schema: str
) -> None:
    host = open_host()
    found = a_campaign(host)
    end_me = "IF currval('tries') = 1 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;"
    triggers(end_me, at_commit=True)

    def ask() -> str:
        return host.vouchers.codes.assign(campaign_id="CMP", user_id="ann", idempotency_key="order-991").code

    with pytest.raises(CommitOutcomeUnknown, match="idempotency key"):
        ask()
    assert tries(schema) == 1
    code = ask()
    assert ask() == code
    require_given(host, found, ann=code)


class Cutting:
    """A storage that loses the connection of one transaction, as soon as that has begun."""

    def __init__(self, storage: PostgresStorage) -> None:
        self._storage = storage
        self.left: int = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    @contextmanager
    def begin(self, *, write: bool = True) -> Iterator[PostgresTransaction]:
        with self._storage.begin(write=write) as tx:
            self.left -= 1
            if self.left == 0:
                end(tx.session.connection.info.backend_pid)
            yield tx


CALLS: dict[str, Callable[[Host, str, ScriptedSink, int], object]] = {
    "lists.get": lambda host, found, sink, n: host.vouchers.lists.get(found).tag,
    "partners.add": lambda host, found, sink, n: host.vouchers.partners.add(f"Puma {n}").created_at,
    "events.emit": lambda host, found, sink, n: host.vouchers.events.emit(an_event(PointsCredited)),
    "codes.assign_many": lambda host, found, sink, n: len(
        host.vouchers.codes.assign_many([f"ann {n}", f"ben {n}"], list_id=found, partial=True).rewards
    ),
    "uploads.add": lambda host, found, sink, n: host.upload(found, f"NEW{n}", "A").accepted,
    "events.deliver": lambda host, found, sink, n: host.vouchers.events.deliver(sink).deferred,
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.deep] if name in ("uploads.add", "events.deliver") else [])
        for name in CALLS
    ],
)
def test_no_call_notices_that_the_connection_of_a_transaction_is_lost(
    storage: PostgresStorage, name: str
) -> None:
    cutting = Cutting(storage)
    host = Host(cutting, FixedClock())
    found = host.a_list(*(f"C{number}" for number in range(40)), "A").id
    sink = ScriptedSink()
    answers = list[object]()
    for number in count(1):
        if name == "events.deliver":
            host.vouchers.events.emit(an_event(PointsCredited, user_id=f"user-{number}"))
        cutting.left = number
        answers.append(CALLS[name](host, found, sink, number))
        if cutting.left > 0:
            break
    assert len(answers) > 1
    assert len(set(answers)) == 1
    host.vouchers.events.deliver(sink)
    assert [entry.id for entry in sink.taken] == list(dict.fromkeys(entry.id for entry in sink.taken))
    assert len(sink.taken) == len(host.outbox())
    assert len(host.events(VoucherRewarded)) == host.vouchers.lists.get(found).distributed


class Grumbling:
    """A pool of the host's that fails to take a connection back, when it is told to."""

    def __init__(self) -> None:
        self.fails: bool = False

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        with psycopg.connect(server().conninfo) as connection:
            yield connection
        if self.fails:
            self.fails = False
            raise psycopg.OperationalError("the connection is gone")


def test_what_happens_after_the_commit_changes_nothing(schema: str) -> None:
    pool = Grumbling()
    host = Host(PostgresStorage(pool, schema=schema), FixedClock())
    found = host.a_list("A", "B", campaign="CMP", repeat=RepeatPolicy.NEW_CODE)
    pool.fails = True
    reward = host.vouchers.codes.assign(campaign_id="CMP", user_id="ann")
    assert not pool.fails
    require_given(host, found.id, ann=reward.code)


# --- what is not done again ------------------------------------------------------------------------------------


def test_what_has_waited_for_its_time_out_does_not_wait_again(
    open_host: Callable[..., Host], connect: Connect, triggers: Callable[..., None], schema: str
) -> None:
    host = open_host(timeout=0.2)
    a_campaign(host)
    connection = connect()
    connection.execute(f"CREATE TABLE {schema}.totals AS SELECT 0 AS given")
    connection.commit()
    triggers(f"UPDATE {schema}.totals SET given = given + 1;")
    connection.execute(f"UPDATE {schema}.totals SET given = 0")
    with pytest.raises(StorageBusy, match="too long") as caught:
        host.vouchers.codes.assign(campaign_id="CMP", user_id="ann")
    connection.rollback()
    assert not isinstance(caught.value, TransactionConflict)
    assert tries(schema) == 1


@pytest.mark.parametrize(
    "error,kind",
    [
        (pg.SerializationFailure(), TransactionConflict),
        (pg.DeadlockDetected(), TransactionConflict),
        (pg.LockNotAvailable(), StorageBusy),
        (pg.QueryCanceled(), StorageBusy),
        (pg.AdminShutdown(), ConnectionLost),
        (pg.ConnectionFailure(), ConnectionLost),
        (psycopg.OperationalError("server closed the connection unexpectedly"), ConnectionLost),
        (pg.IdleInTransactionSessionTimeout(), StorageUnavailable),
        (pg.UniqueViolation(), StorageError),
        (pg.DivisionByZero(), StorageError),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value.__name__,
)
def test_errors_of_the_server_and_what_they_are_here(error: psycopg.Error, kind: type[StorageError]) -> None:
    assert type(translated(error)) is kind
