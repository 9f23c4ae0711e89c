from __future__ import annotations

from typing import Any

import pytest

from partner_vouchers import RepeatPolicy
from partner_vouchers.errors import InvalidCursor, PartnerVouchersError
from tests.support.host import START, Host


def a_life(host: Host) -> str:
    """Do everything once that the audit log keeps; return the id of the list."""
    vouchers = host.vouchers
    vouchers.partners.add("Puma", actor="amy")
    found = host.a_list(tag="winter")
    vouchers.lists.edit(found.id, name="Spring Sale", actor="bob")
    vouchers.campaigns.link(found.id, "CMP", actor="bob")
    vouchers.campaigns.link(found.id, "CMP", repeat=RepeatPolicy.NEW_CODE, actor="bob")
    upload = host.upload(found.id, "A", "B", uploaded_by="ops@example.com")
    host.upload(found.id, "B B", uploaded_by="ops@example.com")
    vouchers.codes.assign(campaign_id="CMP", user_id="ann")
    vouchers.uploads.withdraw(upload.id, actor="amy")
    vouchers.lists.pause(found.id, actor="bob")
    vouchers.lists.activate(found.id, actor="bob")
    vouchers.campaigns.unlink(found.id, "CMP", actor="bob")
    host.clock.advance(days=1)
    vouchers.lists.archive(found.id, actor="amy")
    return found.id


LIFE = [
    ("list.created", None),
    ("list.edited", "bob"),
    ("campaign.linked", "bob"),
    ("campaign.linked", "bob"),
    ("upload.completed", "ops@example.com"),
    ("upload.failed", "ops@example.com"),
    ("upload.withdrawn", "amy"),
    ("list.paused", "bob"),
    ("list.activated", "bob"),
    ("campaign.unlinked", "bob"),
    ("list.archived", "amy"),
]


def told(host: Host, **arguments: Any) -> list[tuple[str, str | None]]:
    entries = host.vouchers.audit.entries(limit=1000, **arguments)
    return [(entry.event.event_name, entry.actor) for entry in entries]


def test_every_change_is_recorded_with_who_made_it(host: Host) -> None:
    list_id = a_life(host)
    assert told(host) == [("partner.added", "amy"), *LIFE]
    assert told(host, list_id=list_id) == LIFE


def test_an_entry_says_when_and_from_what_to_what(host: Host) -> None:
    list_id = a_life(host)
    entries = list(host.vouchers.audit.entries(list_id=list_id))
    edited, archived = entries[1].event, entries[-1].event
    assert (edited.occurred_at, edited.list_id) == (START, list_id)
    assert [(change.field, change.before, change.after) for change in edited.changes] == [
        ("name", "Winter Sale", "Spring Sale")
    ]
    assert archived.occurred_at == host.clock.now
    assert [(change.field, change.before, change.after) for change in archived.changes] == [
        ("state", "Active", "Archived")
    ]


def test_the_log_is_read_from_either_end(host: Host) -> None:
    a_life(host)
    read, oldest = host.vouchers.audit.entries, list(host.vouchers.audit.entries())
    first = read(limit=5, newest_first=True)
    rest = read(after=first.next, newest_first=True)
    assert [*first, *rest] == oldest[::-1]
    assert rest.next is None
    with pytest.raises(InvalidCursor):
        read(after=first.next)


def test_a_call_that_fails_is_not_recorded(host: Host) -> None:
    found = host.a_list(campaign="CMP")
    before = told(host)
    for call in (host.vouchers.lists.delete, host.vouchers.lists.activate):
        with pytest.raises(PartnerVouchersError):
            call(found.id, actor="bob")
    assert told(host) == before
