"""PostgreSQL beside bare scripts with the same driver, on a server of its own.

The floor of an assignment is a script that runs as many statements in each transaction, on rows that nobody else
touches. The floor of an upload is a COPY into a table with one UNIQUE column.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from partner_vouchers import PartnerVouchers
from partner_vouchers.adapters.postgres import PostgresStorage
from tests.benchmarks.figures import record
from tests.benchmarks.measure import (
    CAMPAIGN,
    MILLION,
    NUMBERS,
    OPS,
    assigning,
    compare_sizes,
    in_turn,
    new_list,
    percentile,
    random_codes,
    seconds,
    write_codes,
)
from tests.support.postgres import Server

CLIENTS = 8
SECONDS = 3.0
ROUNDS = 5
CALLS = 500
GROUP = "PostgreSQL"

_SPAWN = multiprocessing.get_context("spawn")

# As many statements as `assign` sends in one transaction, on a row of the client's own.
TRIVIAL = (
    "BEGIN",
    "SELECT n FROM bare_counters WHERE id = %(client)s",
    "SELECT n FROM bare_counters WHERE id = %(client)s",
    "SELECT n FROM bare_counters WHERE id = %(client)s",
    "SELECT n FROM bare_counters WHERE id = %(client)s",
    "UPDATE bare_counters SET n = n + 1 WHERE id = %(client)s",
    "INSERT INTO bare_log (code_id) VALUES (%(number)s)",
    "COMMIT",
)
# The same number, as somebody writes them by hand who gives out codes without a library: the same locks, two
# look-ups, the next code that nobody is taking, the assignment, its event and the counter.
BY_HAND = (
    "BEGIN",
    "SELECT pg_advisory_xact_lock_shared(1)",
    "SELECT n FROM bare_counters WHERE id = %(client)s",
    "SELECT pg_advisory_xact_lock(%(number)s)",
    "SELECT code_id FROM bare_given WHERE user_id = %(user)s",
    """
    DELETE FROM bare_codes WHERE id = (
        SELECT id FROM bare_codes WHERE id > %(after)s ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING id, code
    """,
    """
    WITH given AS (INSERT INTO bare_given VALUES (%(id)s, %(code)s, %(user)s)),
         counted AS (UPDATE bare_counters SET n = n + 1 WHERE id = %(client)s)
    INSERT INTO bare_log (code_id) VALUES (%(id)s)
    """,
    "COMMIT",
)
BARE_TABLES = f"""
    CREATE TABLE bare_counters (id integer PRIMARY KEY, n integer) WITH (fillfactor = 50);
    CREATE TABLE bare_log (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, code_id bigint);
    CREATE TABLE bare_given (code_id bigint PRIMARY KEY, code text, user_id text UNIQUE);
    CREATE TABLE bare_codes (id bigint PRIMARY KEY, code text);
    INSERT INTO bare_counters SELECT g, 0 FROM generate_series(0, {CLIENTS - 1}) AS g;
    INSERT INTO bare_codes SELECT g, md5(g::text) FROM generate_series(1, 500000) AS g;
    ANALYZE bare_codes
"""


@pytest.fixture(scope="module")
def bench_server() -> Iterator[Server]:
    started = Server("autovacuum=on", "shared_buffers=256MB", "max_wal_size=4GB", "min_wal_size=2GB")
    fill_wal(started)
    yield started
    started.remove()


def fill_wal(server: Server) -> None:
    """Let a new server be as one that has worked for a while: with files of the write-ahead log to use again.

    Each file that it makes anew holds up all commits, ours and those of a bare script alike.
    """
    with psycopg.connect(server.conninfo, autocommit=True) as connection:
        for _ in range(1_500):
            connection.execute("SELECT pg_logical_emit_message(false, 'filling', repeat('x', 1000000))")
    recycle_wal(server)


def recycle_wal(server: Server) -> None:
    with psycopg.connect(server.conninfo, autocommit=True) as connection:
        for statement in ("CHECKPOINT", "SELECT pg_switch_wal()", "CHECKPOINT"):
            connection.execute(statement.encode())


@pytest.fixture
def storage(bench_server: Server) -> Iterator[PostgresStorage]:
    with closing(PostgresStorage(bench_server.conninfo)) as opened:
        opened.migrate()
        yield opened


# --- clients side by side ---


Make = Callable[[str, str], Callable[[int], object]]


def with_library(conninfo: str, name: str) -> Callable[[int], object]:
    assign = assigning(PartnerVouchers(PostgresStorage(conninfo)))
    return lambda number: assign(f"{name}-{number}")


def trivial(conninfo: str, name: str) -> Callable[[int], object]:
    return bare(conninfo, TRIVIAL, name)


def by_hand(conninfo: str, name: str) -> Callable[[int], object]:
    return bare(conninfo, BY_HAND, name)


def bare(conninfo: str, statements: Sequence[str], name: str) -> Callable[[int], object]:
    connection = psycopg.connect(conninfo, autocommit=True)
    cursor = connection.cursor()
    connection.execute("SET plan_cache_mode = force_generic_plan")
    client = int(name.rpartition("-")[2])
    values: dict[str, Any] = {"client": client, "after": 0}

    def run(number: int) -> None:
        values.update(number=number * CLIENTS + client, user=f"{name}-{number}")
        for statement in statements:
            cursor.execute(statement.encode(), values)
            if statement.startswith("SELECT"):
                cursor.fetchone()
            elif "RETURNING" in statement:
                values["id"], values["code"] = cursor.fetchall()[0]
                values["after"] = values["id"]

    return run


def client(make: Make, conninfo: str, name: str, start: Any, answers: Any) -> None:
    call = make(conninfo, name)
    # Until connections, statements and caches are warm.
    for number in range(30):
        call(-1 - number)
    start.wait()
    waits: list[float] = []
    until = time.perf_counter() + SECONDS
    while (began := time.perf_counter()) < until:
        call(len(waits))
        waits.append(time.perf_counter() - began)
    answers.put(waits)


def side_by_side(make: Make, conninfo: str, clients: int = CLIENTS) -> tuple[float, float]:
    """Return calls in a second, and the 99th percentile of their times in milliseconds."""
    start, answers = _SPAWN.Barrier(clients), _SPAWN.Queue()
    names = [f"run{next(NUMBERS)}-{number}" for number in range(clients)]
    team = [_SPAWN.Process(target=client, args=(make, conninfo, name, start, answers)) for name in names]
    for each in team:
        each.start()
    waits = [wait for _ in team for wait in answers.get(timeout=120)]
    for each in team:
        each.join()
    return len(waits) / SECONDS, 1000 * percentile(waits, 0.99)


def test_clients_on_one_hot_list(bench_server: Server, storage: PostgresStorage) -> None:
    conninfo = bench_server.conninfo
    vouchers = PartnerVouchers(storage)
    with psycopg.connect(conninfo) as connection:
        connection.execute(BARE_TABLES.encode())
    vouchers.campaigns.link(new_list(vouchers, "hot", random_codes(500_000, seed=1)), CAMPAIGN)
    # Of each: what to compare with the clients of the library, and how many there are.
    others: dict[str, tuple[Make, int]] = {
        "by hand": (by_hand, CLIENTS),
        "trivial": (trivial, CLIENTS),
        "one client": (with_library, 1),
    }
    found: dict[str, list[float]] = {name: [] for name in others}
    for _ in range(ROUNDS):
        many, p99 = side_by_side(with_library, conninfo)
        print(f"\nassign: {CLIENTS} clients {many:.0f}/s, p99 {p99:.1f} ms")
        for name, (make, clients) in others.items():
            rate, p99 = side_by_side(make, conninfo, clients)
            print(f"{name}: {clients} clients {rate:.0f}/s, p99 {p99:.1f} ms")
            found[name].append(many / rate)
    ratios = {name: percentile(values, 0.5) for name, values in found.items()}
    what = f"{CLIENTS} clients on one list, time of a call"
    record(GROUP, what, 1 / ratios["by hand"], beside="the same job by hand in as many statements", goal=1.4)
    record(GROUP, what, 1 / ratios["trivial"], beside="as many trivial statements", goal=None)
    what = "one client, codes a second"
    record(GROUP, what, 1 / ratios["one client"], beside=f"{CLIENTS} clients", goal=0.67)


def test_flat_from_a_thousand_codes_to_a_million(storage: PostgresStorage) -> None:
    vouchers = PartnerVouchers(storage)
    large = new_list(vouchers, "large", random_codes(MILLION, seed=1))
    compare_sizes(GROUP, vouchers, large, rounds=2 * ROUNDS, calls=CALLS, goal=1.15)


# --- uploads ---


def test_a_million_codes_beside_a_bare_copy(
    bench_server: Server, storage: PostgresStorage, tmp_path: Path
) -> None:
    vouchers = PartnerVouchers(storage)
    source = write_codes(tmp_path / "codes.csv", random_codes(MILLION, seed=1))

    def bare_copy() -> float:
        with psycopg.connect(bench_server.conninfo, autocommit=True) as connection:
            connection.execute("DROP TABLE IF EXISTS bare_codes")
            connection.execute("CREATE TABLE bare_codes (code text UNIQUE)")
            connection.execute("CHECKPOINT")
            began = time.perf_counter()
            with connection.cursor().copy("COPY bare_codes FROM STDIN") as copying, source.open() as file:
                while block := file.read(1 << 18):
                    copying.write(block)
            return time.perf_counter() - began

    def upload() -> float:
        list_id = new_list(vouchers, f"upload_{next(NUMBERS)}")
        with psycopg.connect(bench_server.conninfo, autocommit=True) as connection:
            connection.execute("CHECKPOINT")
        taken = seconds(lambda: vouchers.uploads.add(list_id, source, uploaded_by=OPS))
        assert vouchers.lists.get(list_id).uploaded == MILLION
        return taken

    found = in_turn(ROUNDS, bare_copy, upload)
    what, beside = f"upload of a million codes: {found.seconds:.2f} s", "a bare COPY into one UNIQUE column"
    record(GROUP, what, found.ratio, beside=beside, goal=1.5)


def paced(conninfo: str, list_id: str, stop: Any, answers: Any) -> None:
    """Assign at an even pace, as requests come, until told to stop."""
    vouchers = PartnerVouchers(PostgresStorage(conninfo))
    name, waits = f"paced-{time.monotonic_ns()}", list[float]()
    for number in range(50):
        vouchers.codes.assign(list_id=list_id, user_id=f"{name}-warm-{number}")
    answers.put("ready")
    while not stop.is_set():
        began = time.perf_counter()
        vouchers.codes.assign(list_id=list_id, user_id=f"{name}-{len(waits)}")
        waits.append(time.perf_counter() - began)
        time.sleep(0.001)
    answers.put(waits)


def test_assign_during_an_upload(bench_server: Server, storage: PostgresStorage, tmp_path: Path) -> None:
    vouchers = PartnerVouchers(storage)
    list_id = new_list(vouchers, "paced", random_codes(300_000, seed=3))
    source = write_codes(tmp_path / "codes.csv", random_codes(MILLION, seed=2))
    found: list[float] = []

    def p99_during(work: Callable[[], object]) -> float:
        stop, answers = _SPAWN.Event(), _SPAWN.Queue()
        other = _SPAWN.Process(target=paced, args=(bench_server.conninfo, list_id, stop, answers))
        other.start()
        assert answers.get(timeout=60) == "ready"
        work()
        stop.set()
        waits = answers.get(timeout=60)
        other.join()
        return percentile(waits, 0.99)

    for number in range(ROUNDS):
        target = new_list(vouchers, f"during_{number}")
        recycle_wal(bench_server)
        idle = p99_during(lambda: time.sleep(5))
        busy = p99_during(
            lambda target=target: vouchers.uploads.add(target, source, uploaded_by=OPS)  # type: ignore[misc]
        )
        found.append(busy / idle)
        print(
            f"\nassign: p99 {1000 * idle:.2f} ms idle, {1000 * busy:.2f} ms during an upload of a million codes"
        )
    ratio = percentile(found, 0.5)
    record(GROUP, "assign during an upload, p99", ratio, beside="idle", goal=5)
