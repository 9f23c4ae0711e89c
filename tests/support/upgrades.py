"""What must be true of deliveries in tables that an earlier version of the library wrote."""

from __future__ import annotations

import json
from pathlib import Path

from partner_vouchers.ports import Storage
from tests.support.host import FixedClock, Host
from tests.support.sinks import ScriptedSink


def require_deliveries_kept(storage: Storage, facts: Path) -> None:
    """Check that each sink gets what it does not have, in order, and that nothing else was lost or doubled.

    Args:
        storage: the storage, with its tables upgraded.
        facts: a JSON file that says which events there were, and which each sink had.
    """
    known = json.loads(facts.read_text())
    events = {event_id: key for event_id, _, key in known["events"]}
    host = Host(storage, FixedClock())
    assert [entry.id for entry in host.outbox()] == list(events), "ids and their order stay"
    assert [entry.event.ordering_key for entry in host.outbox()] == list(events.values())
    dead = [letter.id for letter in host.vouchers.events.dead_letters("crm")]
    assert dead == known["crm_dead"]
    backlog = host.vouchers.events.backlog("crm")
    assert backlog.deferred == known["crm_deferred"]
    assert backlog.undelivered == len(events) - len(known["crm_taken"]) - len(dead)
    host.clock.advance(days=1)
    for name in ("crm", "audit", "third"):
        sink, had = ScriptedSink(name), set(known[f"{name}_taken"])
        host.vouchers.events.deliver(sink)
        got = [entry.id for entry in sink.taken]
        letters = set(dead) if name == "crm" else set()
        assert len(got) == len(set(got))
        assert set(got) == set(events) - had - letters, name
        for key in set(events.values()):
            mine = [list(events).index(each) for each in got if events[each] == key]
            assert mine == sorted(mine)
    host.vouchers.events.retry_dead_letters("crm")
    sink = ScriptedSink("crm")
    host.vouchers.events.deliver(sink)
    assert [entry.id for entry in sink.taken] == dead
    host.emit_for("new")
    host.vouchers.events.deliver(sink)
    assert sink.users()[-1] == "new"
