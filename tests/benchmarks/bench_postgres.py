"""PostgreSQL beside bare scripts with the same driver, on a server of its own.

The floor of an assignment is a script that runs as many statements in each transaction, on rows that nobody else
touches. The floor of an upload is a COPY into a table with one UNIQUE column.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest

from partner_vouchers import PartnerVouchers
from partner_vouchers.adapters.postgres import PostgresStorage
from tests.benchmarks.figures import record
from tests.benchmarks.measure import in_turn, percentile, random_codes, seconds, write_codes
from tests.support.postgres import Server

MILLION = 1_000_000
CLIENTS = 8
SECONDS = 3.0
ROUNDS = 5
CALLS = 500
GROUP = "PostgreSQL"
FAR = datetime(2100, 1, 1, tzinfo=UTC)

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


def new_list(vouchers: PartnerVouchers, directory: Path, codes: int) -> str:
    if not vouchers.partners.all():
        vouchers.partners.add("Puma")
    tag = f"tag_{time.monotonic_ns()}"
    list_id = vouchers.lists.create(partner="Puma", tag=tag, name="Winter Sale", expires_at=FAR).id
    source = write_codes(directory / f"{tag}.csv", random_codes(codes, seed=codes + int(list_id)))
    assert vouchers.uploads.add(list_id, source, uploaded_by="ops@example.com").accepted == codes
    return list_id


# --- clients side by side ---


def assigning(conninfo: str, campaign: str, name: str) -> Callable[[int], object]:
    vouchers = PartnerVouchers(PostgresStorage(conninfo))
    return lambda number: vouchers.codes.assign(campaign_id=campaign, user_id=f"{name}-{number}")


def trivial(conninfo: str, _: str, name: str) -> Callable[[int], object]:
    return bare(conninfo, TRIVIAL, name)


def by_hand(conninfo: str, _: str, name: str) -> Callable[[int], object]:
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


def client(
    make: Callable[[str, str, str], Callable[[int], object]],
    conninfo: str,
    campaign: str,
    name: str,
    start: Any,
    answers: Any,
) -> None:
    call = make(conninfo, campaign, name)
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


def side_by_side(
    make: Callable[[str, str, str], Callable[[int], object]], conninfo: str, campaign: str, clients: int
) -> tuple[float, float]:
    """Return calls in a second, and the 99th percentile of their times."""
    start, answers = _SPAWN.Barrier(clients), _SPAWN.Queue()
    run = f"run{time.monotonic_ns()}"
    team = [
        _SPAWN.Process(target=client, args=(make, conninfo, campaign, f"{run}-{number}", start, answers))
        for number in range(clients)
    ]
    for each in team:
        each.start()
    waits = [wait for _ in team for wait in answers.get(timeout=120)]
    for each in team:
        each.join()
    return len(waits) / SECONDS, percentile(waits, 0.99)


def test_clients_on_one_hot_list(bench_server: Server, storage: PostgresStorage, tmp_path: Path) -> None:
    conninfo = bench_server.conninfo
    vouchers = PartnerVouchers(storage)
    with psycopg.connect(conninfo) as connection:
        connection.execute(BARE_TABLES.encode())
    vouchers.campaigns.link(new_list(vouchers, tmp_path, 500_000), "CMP1")
    found: dict[str, list[float]] = {"by hand": [], "trivial": [], "one": []}
    for _ in range(ROUNDS):
        many, p99 = side_by_side(assigning, conninfo, "CMP1", CLIENTS)
        one, one_p99 = side_by_side(assigning, conninfo, "CMP1", 1)
        print(
            f"\nassign: {CLIENTS} clients {many:.0f}/s, p99 {1000 * p99:.1f} ms; one client {one:.0f}/s, "
            f"p99 {1000 * one_p99:.1f} ms"
        )
        found["one"].append(many / one)
        for name, make in (("by hand", by_hand), ("trivial", trivial)):
            rate, p99 = side_by_side(make, conninfo, "", CLIENTS)
            print(f"{name}: {CLIENTS} clients {rate:.0f}/s, p99 {1000 * p99:.1f} ms")
            found[name].append(many / rate)
    ratios = {name: percentile(values, 0.5) for name, values in found.items()}
    what = f"{CLIENTS} clients on one list, time of a call"
    record(GROUP, what, 1 / ratios["by hand"], beside="the same job by hand in as many statements", goal=1.4)
    record(GROUP, what, 1 / ratios["trivial"], beside="as many trivial statements", goal=None)
    record(GROUP, "one client, codes a second", 1 / ratios["one"], beside=f"{CLIENTS} clients", goal=0.67)


# --- one client ---


def test_flat_from_a_thousand_codes_to_a_million(storage: PostgresStorage, tmp_path: Path) -> None:
    vouchers = PartnerVouchers(storage)
    large = new_list(vouchers, tmp_path, MILLION)
    numbers = count()

    def assign_from(list_id: str) -> float:
        users = [f"user-{next(numbers)}" for _ in range(CALLS)]
        return seconds(lambda: [vouchers.codes.assign(list_id=list_id, user_id=user) for user in users])

    assign_from(large)
    found = in_turn(
        2 * ROUNDS, lambda: assign_from(new_list(vouchers, tmp_path, 1_000)), lambda: assign_from(large)
    )
    record(GROUP, "assign from a million codes", found.ratio, beside="from a thousand", goal=1.15)


# --- uploads ---


def test_a_million_codes_beside_a_bare_copy(
    bench_server: Server, storage: PostgresStorage, tmp_path: Path
) -> None:
    vouchers = PartnerVouchers(storage)
    new_list(vouchers, tmp_path, 10)
    source = write_codes(tmp_path / "codes.csv", random_codes(MILLION, seed=1))
    tags = count()

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
        list_id = vouchers.lists.create(
            partner="Puma", tag=f"upload_{next(tags)}", name="Upload", expires_at=FAR
        ).id
        with psycopg.connect(bench_server.conninfo, autocommit=True) as connection:
            connection.execute("CHECKPOINT")
        taken = seconds(lambda: vouchers.uploads.add(list_id, source, uploaded_by="ops@example.com"))
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
    list_id = new_list(vouchers, tmp_path, 300_000)
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
        target = vouchers.lists.create(
            partner="Puma", tag=f"during_{number}", name="During", expires_at=FAR
        ).id
        recycle_wal(bench_server)
        idle = p99_during(lambda: time.sleep(5))
        busy = p99_during(
            lambda target=target: vouchers.uploads.add(target, source, uploaded_by="ops@example.com")  # type: ignore[misc]
        )
        found.append(busy / idle)
        print(
            f"\nassign: p99 {1000 * idle:.2f} ms idle, {1000 * busy:.2f} ms during an upload of a million codes"
        )
    ratio = percentile(found, 0.5)
    record(GROUP, "assign during an upload, p99", ratio, beside="idle", goal=5)
