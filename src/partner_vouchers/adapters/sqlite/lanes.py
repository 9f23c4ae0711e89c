"""Give the events of a storage that had no lanes their lanes."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from partner_vouchers.domain.delivery import lane_of, lane_of_key
from partner_vouchers.domain.events import user_key
from partner_vouchers.wire.stored_events import event_from_json


def fill_lanes(connection: sqlite3.Connection) -> None:
    """Set the lane of every row of the outbox."""
    functions: dict[str, tuple[int, Callable[..., int]]] = {
        "pv_lane_of_user": (1, _lane_of_user),
        "pv_lane_of_event": (2, _lane_of_event),
    }
    for name, (arguments, function) in functions.items():
        connection.create_function(name, arguments, function)
    connection.execute(
        """
        UPDATE pv_outbox SET lane = CASE
            WHEN code_id IS NULL THEN pv_lane_of_event(name, payload)
            ELSE pv_lane_of_user((SELECT user_id FROM pv_assignments WHERE code_id = pv_outbox.code_id)) END
        """
    )
    for name, (arguments, _) in functions.items():
        connection.create_function(name, arguments, None)


def _lane_of_user(user_id: str) -> int:
    return lane_of_key(user_key(user_id))


def _lane_of_event(name: str, payload: str) -> int:
    return lane_of(event_from_json(name, payload))
