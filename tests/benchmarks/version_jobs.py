"""The jobs of one version of the library, in a process of its own: each line of the input names a job.

    python version_jobs.py DIRECTORY [CONNECTION_STRING]

It prints, for each job, the processor seconds of this process in user mode. It uses only what all versions have.
"""

from __future__ import annotations

import random
import resource
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import Any

from partner_vouchers import PartnerVouchers
from partner_vouchers.adapters.sqlite import SQLiteStorage
from partner_vouchers.messages import MessageTemplate
from partner_vouchers.sinks.jsonl import JsonLinesSink

CODES = 200_000
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
TEMPLATE = "Hi {{ Profile.name | default: 'there' }}, {{ Event.partner }} gives you {{ Event.voucherCode }}"


class Jobs:
    """What is measured of a version."""

    def __init__(self, directory: Path, conninfo: str | None) -> None:
        self._directory = directory
        self._numbers = count()
        self._chance = random.Random(1)
        # Alone in its directory, as a database of a host: each new file there would cost the next calls a look.
        (directory / "database").mkdir()
        self._sqlite = self._filled(
            SQLiteStorage(directory / "database" / "vouchers.db", synchronous="NORMAL")
        )
        for number in range(49):
            self._list(self._sqlite, f"tag_{number}")
        self._reward = self._sqlite.codes.assign(campaign_id="CMP", user_id="ann")
        self._template = MessageTemplate(TEMPLATE)
        self._postgres: PartnerVouchers | None = None
        if conninfo is not None:
            from partner_vouchers.adapters.postgres import PostgresStorage

            storage = PostgresStorage(conninfo, prefix=f"{directory.name}_")
            storage.migrate()
            self._postgres = self._filled(storage)

    def assign(self) -> float:
        assign, users = self._sqlite.codes.assign, self._users(1_000)
        return _cpu(lambda: [assign(campaign_id="CMP", user_id=user) for user in users])

    def assign_with_a_key(self) -> float:
        assign, users = self._sqlite.codes.assign, self._users(1_000)
        return _cpu(lambda: [assign(campaign_id="CMP", user_id=user, idempotency_key=user) for user in users])

    def assign_many(self) -> float:
        users = self._users(1_000)
        return _cpu(lambda: self._sqlite.codes.assign_many(users, campaign_id="CMP"))

    def deliver(self) -> float:
        sink = JsonLinesSink(self._directory / "events.jsonl", durable=False)
        self._sqlite.events.deliver(sink)
        self._sqlite.codes.assign_many(self._users(5_000), campaign_id="CMP")
        return _cpu(lambda: self._sqlite.events.deliver(sink))

    def render(self) -> float:
        event = self._reward.event
        return _cpu(
            lambda: [self._template.render(event=event, profile={"name": "Asha"}) for _ in range(2_000)]
        )

    def of_user(self) -> float:
        return _cpu(lambda: [self._sqlite.codes.of_user("ann") for _ in range(1_000)])

    def lists_page(self) -> float:
        return _cpu(lambda: [self._sqlite.lists.find(limit=50) for _ in range(100)])

    def upload(self) -> float:
        return self._upload(self._codes(CODES))

    def upload_with_faults(self) -> float:
        codes = self._codes(CODES)
        for index in range(0, CODES, 10):
            codes[index] = codes[index - 1] if index % 20 else f"{codes[index]} ?"
        return self._upload(codes)

    def assign_on_postgres(self) -> float:
        assert self._postgres is not None
        assign, users = self._postgres.codes.assign, self._users(300)
        return _cpu(lambda: [assign(campaign_id="CMP", user_id=user) for user in users])

    def _filled(self, storage: Any) -> PartnerVouchers:
        vouchers = PartnerVouchers(storage)
        vouchers.partners.add("Puma")
        self._add(vouchers, "winter", self._codes(CODES))
        vouchers.campaigns.link(vouchers.lists.find().items[0].id, "CMP")
        return vouchers

    def _upload(self, codes: list[str]) -> float:
        path = self._directory / f"upload-{next(self._numbers)}.db"
        with closing(SQLiteStorage(path, synchronous="NORMAL")) as storage:
            vouchers = PartnerVouchers(storage)
            vouchers.partners.add("Puma")
            taken = self._add(vouchers, "winter", codes)
        path.unlink()
        return taken

    def _add(self, vouchers: PartnerVouchers, tag: str, codes: list[str]) -> float:
        list_id = self._list(vouchers, tag)
        file = BytesIO("".join(f"{code}\n" for code in codes).encode())
        return _cpu(
            lambda: vouchers.uploads.add(list_id, file, filename="codes.csv", uploaded_by="ops@example.com")
        )

    def _list(self, vouchers: PartnerVouchers, tag: str) -> str:
        expires_at = datetime(2100, 1, 1, tzinfo=UTC)
        return vouchers.lists.create(partner="Puma", tag=tag, name="Winter Sale", expires_at=expires_at).id

    def _codes(self, number: int) -> list[str]:
        return ["".join(self._chance.choices(ALPHABET, k=12)) for _ in range(number)]

    def _users(self, number: int) -> list[str]:
        return [f"user-{next(self._numbers)}" for _ in range(number)]


def _cpu(action: Callable[[], object]) -> float:
    started = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    action()
    return resource.getrusage(resource.RUSAGE_SELF).ru_utime - started


def main(directory: str, conninfo: str | None = None) -> None:
    jobs = Jobs(Path(directory), conninfo)
    print("ready", flush=True)
    for line in sys.stdin:
        print(getattr(jobs, line.strip())(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
