"""CleverTap's upload of events, as its pages and recorded answers describe it, on this machine.

AuditedEvent answers: an answer of 200 names each record that was not taken, with its number in the request counted
from 1, and repeats it, as an object or (older ones) as JSON text.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from socket import MSG_DONTWAIT, MSG_PEEK, socket
from threading import Lock
from typing import Any

from tests.support.loopback import Answering, Received, answer

ACCOUNT, PASSCODE = "TEST-ACCOUNT", "c0ffee-passcode"
IDENTITIES = ("identity", "objectId", "FBID", "GPID")

Judge = Callable[[dict[str, Any]], int | None]
"""Returns the code with which a record is refused."""

Record = dict[str, Any]


def judge(record: Record) -> int | None:
    """Refuse what CleverTap refuses."""
    if record.get("type") != "event":
        return 524
    name, ids = record.get("evtName"), [record[kind] for kind in IDENTITIES if kind in record]
    if not name:
        return 509
    if name.startswith("CT "):
        return 513
    if len(ids) != 1 or not isinstance(ids[0], str) or not 0 < len(ids[0]) < 120:
        return 523
    if type(record.get("ts")) is not int:
        return 525
    if not isinstance(record.get("evtData"), dict):
        return 512
    return None


def hung_up(connection: socket) -> bool:
    """Tell whether nobody waits for an answer any more."""
    try:
        return connection.recv(1, MSG_PEEK | MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False


class CleverTap:
    """Takes events, and remembers them in the order in which they came."""

    def __init__(self, judge: Judge = judge, *, record_as_text: bool = False) -> None:
        self.taken: list[Record] = []
        self.sizes: list[int] = []
        self.most_at_once = 0
        self.judge = judge
        self._at_once = 0
        self._record_as_text = record_as_text
        self._lock = Lock()

    def __call__(self, connection: socket, request: Received) -> None:
        with self._lock:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            # Or a request that was given up would be taken long after those that followed it.
            if not hung_up(connection):
                self.respond(request)(connection, request)
        finally:
            with self._lock:
                self._at_once -= 1

    def respond(self, request: Received) -> Answering:
        """Take what can be taken, and return the answer."""
        if (request.method, request.target) != ("POST", "/1/upload"):
            return answer({"status": "fail", "code": 404}, 404)
        headers = request.headers
        if (headers.get("x-clevertap-account-id"), headers.get("x-clevertap-passcode")) != (
            ACCOUNT,
            PASSCODE,
        ):
            return answer({"status": "fail", "error": "Account ID is not valid", "code": 401}, 401)
        if not headers["content-type"].startswith("application/json"):
            return answer({"status": "fail", "code": 400}, 400)
        records = json.loads(request.body)["d"]
        if not 1 <= len(records) <= 1000:
            return answer({"status": "fail", "code": 400}, 400)
        return answer(self.take(records))

    def take(self, records: list[Record]) -> dict[str, Any]:
        """Return what the answer says."""
        refused = [(number, code) for number, each in enumerate(records, 1) if (code := self.judge(each))]
        numbers = {number for number, _ in refused}
        with self._lock:
            self.sizes.append(len(records))
            self.taken += [each for number, each in enumerate(records, 1) if number not in numbers]
        unprocessed = [
            {
                "status": "fail",
                "code": code,
                "error": f"Something is wrong. Skipped record number : {number}",
                "record": json.dumps(records[number - 1]) if self._record_as_text else records[number - 1],
            }
            for number, code in refused
        ]
        processed = len(records) - len(refused)
        status = "success" if not refused else "partial" if processed else "fail"
        return {"status": status, "processed": processed, "unprocessed": unprocessed}
