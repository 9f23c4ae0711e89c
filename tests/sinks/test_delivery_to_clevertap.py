"""Delivery to a CleverTap that fails at random, in every way that a receiver can: nothing is lost or out of order."""

from __future__ import annotations

import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from socket import socket
from threading import Lock, local
from typing import Any

import pytest

from partner_vouchers import RepeatPolicy
from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.domain.delivery import RetryPolicy
from partner_vouchers.domain.promo_events import VoucherRewarded
from partner_vouchers.http import HttpClient, NoResponse, Response
from partner_vouchers.sinks.clevertap import CleverTapSink
from partner_vouchers.usecases.delivery.backlog import Backlog
from tests.support.clevertap import ACCOUNT, PASSCODE, CleverTap, Record, judge
from tests.support.host import FixedClock, Host, some_codes
from tests.support.loopback import Answering, Received, answer, loopback, raw, reset

# Long enough for later events of a user to overtake one that waits, if they could.
SOON = RetryPolicy(
    first_wait=timedelta(milliseconds=50),
    longest_wait=timedelta(milliseconds=200),
    longest_pause=timedelta(milliseconds=20),
    max_attempts=1000,
)


class RunningClock(FixedClock):
    """A clock that goes, from a day that the codes outlive."""

    def __init__(self) -> None:
        super().__init__()
        self._begun = time.monotonic()

    def __call__(self) -> datetime:
        return self.now + timedelta(seconds=time.monotonic() - self._begun)


def hang(connection: socket, request: Received) -> None:
    # Ends when the client gives up.
    connection.recv(1)


BEFORE: list[Answering] = [
    answer({"error": "Too many concurrent requests"}, 429),
    answer({}, 429, {"Retry-After": "0"}),
    answer({}, 500),
    answer({}, 503),
    answer({}, 302, {"Location": "/elsewhere"}),
    hang,
    reset,
    raw(b""),
]
"""What may happen in place of the events being taken."""

AFTER: list[Answering] = [
    hang,
    reset,
    raw(b"HTTP/1.1 200 OK\r\nContent-Le"),
    raw(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"status" : "success"'),
    answer({}, 502),
    answer(b"<html>"),
    answer(b"{"),
]
"""What may happen to the answer once they are taken."""


class FailingCleverTap(CleverTap):
    """Fails at a tenth of the calls, and refuses one event in a hundred for now."""

    def __init__(self, seed: int) -> None:
        super().__init__(self._judge)
        self.happened: Counter[str] = Counter()
        self._random = Random(seed)
        self._chance = Lock()
        self._taking = local()

    def _judge(self, record: Record) -> int | None:
        with self._chance:
            refused = self._random.random() < 0.01
            self.happened["refused for now"] += refused
        return 555 if refused else judge(record)

    def respond(self, request: Received) -> Answering:
        with self._chance:
            chance = self._random.random()
            before, after = self._random.choice(BEFORE), self._random.choice(AFTER)
            self.happened["not taken"] += chance < 0.05
            self.happened["answer lost"] += chance > 0.95
        if chance < 0.05:
            return before
        answered = super().respond(request)
        # A success that cannot be read means that all was taken.
        return after if chance > 0.95 and not self._taking.refused else answered

    def take(self, records: list[Record]) -> dict[str, Any]:
        said = super().take(records)
        self._taking.refused = bool(said["unprocessed"])
        return said


class WatchingClient(HttpClient):
    """Knows of which events it got no answer to rely on: also where a busy machine was too slow for it."""

    def __init__(self, **bounds: Any) -> None:
        super().__init__(**bounds)
        self.unanswered: set[str] = set()
        self.most_at_once = 0
        self._at_once = 0
        self._counting = Lock()

    def request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Response | NoResponse:
        with self._counting:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        outcome = super().request(method, url, headers=headers, body=body)
        with self._counting:
            self._at_once -= 1
        if not isinstance(outcome, Response) or not outcome.is_success:
            self.unanswered |= {code_of(record) for record in json.loads(body or b"")["d"]}
        return outcome


def code_of(record: Record) -> str:
    return str(record["evtData"]["voucherCode"])


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    # Nobody cuts the power here.
    storage = SQLiteStorage(tmp_path / "vouchers.db", synchronous="NORMAL")
    yield Host(storage, RunningClock())
    storage.close()


@pytest.mark.parametrize(
    "events,users,batch_size,relays",
    [
        pytest.param(2_000, 500, 20, 1, id="one relay"),
        pytest.param(2_000, 500, 20, 3, id="three relays", marks=pytest.mark.deep),
        pytest.param(20_000, 4_000, 100, 3, id="many by three relays", marks=pytest.mark.deep),
    ],
)
def test_every_event_arrives_in_order_and_again_only_where_an_answer_was_lost(
    host: Host, events: int, users: int, batch_size: int, relays: int
) -> None:
    expected = give_codes(host, events, users)
    service = FailingCleverTap(seed=events)
    with loopback(service) as server, closing(WatchingClient(read_timeout=0.5)) as client:

        def work() -> Backlog:
            sink = CleverTapSink(
                account_id=ACCOUNT,
                passcode=PASSCODE,
                base_url=server.url,
                names={"CT Partner Voucher Rewarded": "Voucher Rewarded"},
                batch_size=batch_size,
                concurrency=15 // relays,
                client=client,
                clock=lambda: host.clock().timestamp(),
            )
            while True:
                host.vouchers.events.deliver(sink, retry=SOON)
                found = host.vouchers.events.backlog(sink.name)
                if found.oldest is None:
                    return found
                time.sleep(0.01)

        with ThreadPoolExecutor(relays) as pool:
            left = [each.result() for each in [pool.submit(work) for _ in range(relays)]]
    print(f"\n{events} events in {len(service.sizes)} answered calls, {dict(service.happened)}")

    assert [found.dead_letters for found in left] == [0] * relays
    assert min(service.happened.values()) > 0
    assert client.most_at_once <= 15
    arrived = [code_of(record) for record in service.taken]
    assert set(arrived) == {code for codes in expected.values() for code in codes}
    again = {code for code, times in Counter(arrived).items() if times > 1}
    assert again <= client.unanswered
    assert in_order(service.taken, expected) == []


def give_codes(host: Host, events: int, users: int) -> dict[str, list[str]]:
    """Give codes to users, some of them many, and return whose codes are in the outbox, in order."""
    codes = some_codes(events)
    host.a_list(*codes, campaign="CMP123456", repeat=RepeatPolicy.NEW_CODE)
    random = Random(users)
    # A tenth of the users get half of the codes.
    names = [f"user-{random.randrange(random.choice((users, users // 10)))}" for _ in codes]
    for start in range(0, events, 1000):
        host.vouchers.codes.assign_many(names[start : start + 1000], campaign_id="CMP123456")
    expected = defaultdict[str, list[str]](list)
    with host.storage.begin(write=False) as tx:
        entries = tx.outbox.read(0, 2 * events)
    for entry in entries:
        if isinstance(entry.event, VoucherRewarded):
            expected[entry.event.user_id].append(entry.event.voucher_code)
    assert sum(map(len, expected.values())) == events
    return expected


def in_order(taken: list[Record], expected: dict[str, list[str]]) -> list[str]:
    """Return the users to whom an event came after a later one, repeats included."""
    came = defaultdict[str, list[str]](list)
    for record in taken:
        came[record["identity"]].append(code_of(record))
    return [user for user, codes in came.items() if codes != sorted(codes, key=expected[user].index)]
