"""Remember that a sink is to be left alone, for all who deliver to it."""

from __future__ import annotations

import json
from datetime import datetime

from partner_vouchers.domain.delivery import Pause
from partner_vouchers.ports import Transaction


def load_pause(tx: Transaction, sink: str) -> Pause:
    """Return how it stands with a sink."""
    text = tx.settings.get(_setting(sink))
    if not text:
        return Pause()
    failures, until = json.loads(text)
    return Pause(failures, None if until is None else datetime.fromisoformat(until))


def save_pause(tx: Transaction, sink: str, pause: Pause) -> None:
    """Remember how it stands with a sink."""
    until = None if pause.until is None else pause.until.isoformat()
    tx.settings.put(_setting(sink), json.dumps([pause.failures, until]))


def _setting(sink: str) -> str:
    return f"delivery pause {sink}"
