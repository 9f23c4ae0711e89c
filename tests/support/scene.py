"""A host with something of everything, and each call that it can make of the library."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from partner_vouchers import Limit, PointsCredited, Status
from partner_vouchers.errors import CodesExhausted
from partner_vouchers.ports import Storage
from tests.support.host import FixedClock, Host, a_file
from tests.support.promo import an_event
from tests.support.sinks import ScriptedSink, reject


class Scene:
    """A host with lists, a campaign, an upload, and a sink."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.host = Host(storage, FixedClock(), eligibility={"adult": lambda context: True})
        self.vouchers = self.host.vouchers
        self.sink = ScriptedSink()
        self.full = self.host.a_list("A", "B", "C", tag="full", campaign="CMP").id
        self.upload = self.host.upload(self.full, "D", "D D").id
        self.used = self.host.a_list("E", "F", tag="used").id
        self.host.give(self.used, "zoe")
        self.old = self.host.a_list("G", tag="old", status=Status.EXPIRED).id
        aside = self.host.a_list("S", "T", tag="aside").id
        hour = timedelta(hours=1)
        self.reserved = self.vouchers.codes.reserve(list_id=aside, user_id="eve", ttl=hour).id
        self.host.give(aside, "val")
        self.vouchers.redemptions.add("T", "order-1")
        self.vouchers.campaigns.link(self.full, "CMP", eligibility="adult")
        self.sink.always = reject("zoe", final=True)
        self.vouchers.events.deliver(self.sink)
        self.host.give(self.used, "yan")
        self.given = self.vouchers.codes.of_user("yan")[0].id


CALLS: dict[str, Callable[[Scene], Any]] = {
    "codes.assign": lambda s: (
        s.vouchers.codes.assign(campaign_id="CMP", user_id="ann", idempotency_key="order-991").code
    ),
    "codes.assign, nothing left": lambda s: refused(
        CodesExhausted, lambda: [s.host.give(s.used, name) for name in "x"]
    ),
    "codes.assign_many": lambda s: [
        each.code for each in s.vouchers.codes.assign_many(["ann", "bob", "ann"], list_id=s.full).rewards
    ],
    "codes.reserve": lambda s: (
        s.vouchers.codes.reserve(campaign_id="CMP", user_id="ann", ttl=timedelta(hours=1)).code
    ),
    "codes.confirm": lambda s: s.vouchers.codes.confirm(s.reserved).code,
    "codes.release": lambda s: s.vouchers.codes.release(s.reserved).state,
    "codes.revoke": lambda s: s.vouchers.codes.revoke(s.given, restock=True).restocked,
    "codes.forget_user": lambda s: s.vouchers.codes.forget_user("yan"),
    "redemptions.add": lambda s: s.vouchers.redemptions.add("F", "order-2").user_id,
    "redemptions.revert": lambda s: s.vouchers.redemptions.revert("T", "order-1").order_id,
    "redemptions.upload": lambda s: (
        s.vouchers.redemptions.upload(
            a_file("code", "E"), partner="Puma", filename="used.csv", uploaded_by="ops"
        ).counts
    ),
    "campaigns.set_limits": lambda s: s.vouchers.campaigns.set_limits("CMP", [Limit(5, per="campaign")]),
    "codes.of_user": lambda s: len(s.vouchers.codes.of_user("zoe", expired=False)),
    "codes.holders": lambda s: [each.user_id for each in s.vouchers.codes.holders("E")],
    "codes.assignments": lambda s: [each.user_id for each in s.vouchers.codes.assignments(s.used)],
    "codes.export": lambda s: s.vouchers.codes.export(s.used).read(),
    "codes.export, remaining": lambda s: s.vouchers.codes.export(s.full, remaining=True).read(),
    "events.emit": lambda s: s.vouchers.events.emit(an_event(PointsCredited, user_id="ann")),
    "events.deliver": lambda s: s.vouchers.events.deliver(s.sink).delivered,
    "events.backlog": lambda s: s.vouchers.events.backlog("crm"),
    "events.dead_letters": lambda s: len(s.vouchers.events.dead_letters().items),
    "events.retry_dead_letters": lambda s: s.vouchers.events.retry_dead_letters(),
    "events.forget_sink": lambda s: s.vouchers.events.forget_sink("crm"),
    "events.announce_expired": lambda s: s.vouchers.events.announce_expired(),
    "campaigns.link": lambda s: s.vouchers.campaigns.link(s.used, "CMP").campaign_id,
    "campaigns.unlink": lambda s: s.vouchers.campaigns.unlink(s.full, "CMP"),
    "campaigns.of_list": lambda s: len(s.vouchers.campaigns.of_list(s.full)),
    "campaigns.lists_of": lambda s: len(s.vouchers.campaigns.lists_of("CMP")),
    "partners.add": lambda s: s.vouchers.partners.add("Nike"),
    "partners.get": lambda s: s.vouchers.partners.get("Puma"),
    "partners.all": lambda s: s.vouchers.partners.all(),
    "lists.create": lambda s: s.host.a_list(tag="new").tag,
    "lists.get": lambda s: s.vouchers.lists.get(s.full),
    "lists.find": lambda s: len(s.vouchers.lists.find().items),
    "lists.edit": lambda s: s.vouchers.lists.edit(s.full, name="Summer", low_stock_at=3).version,
    "lists.pause": lambda s: s.vouchers.lists.pause(s.full).version,
    "lists.archive": lambda s: s.vouchers.lists.archive(s.full).campaigns,
    "lists.delete": lambda s: s.vouchers.lists.delete(s.old),
    "uploads.add": lambda s: s.host.upload(s.full, "H", "A", "I", "H").accepted,
    "uploads.add, refused": lambda s: s.host.upload_file(s.full, b"", filename="a.txt").status,
    "uploads.validate": lambda s: (
        s.vouchers.uploads.validate(s.full, a_file("H", "A"), filename="a.csv").acceptable
    ),
    "uploads.get": lambda s: s.vouchers.uploads.get(s.upload).accepted,
    "uploads.errors": lambda s: len(s.vouchers.uploads.errors(s.upload)),
    "uploads.error_file": lambda s: s.vouchers.uploads.error_file(s.upload).read(),
    "uploads.original_file": lambda s: s.vouchers.uploads.original_file(s.upload).read(),
    "uploads.find": lambda s: len(s.vouchers.uploads.find(list_id=s.full).items),
    "uploads.recover": lambda s: s.vouchers.uploads.recover(),
    "uploads.withdraw": lambda s: s.vouchers.uploads.withdraw(s.upload).withdrawn,
    "uploads.explain_duplicate": lambda s: str(s.vouchers.uploads.explain_duplicate(s.full, "A")),
    "audit.entries": lambda s: len(s.vouchers.audit.entries().items),
}

LOOK_UPS = [
    "codes.of_user", "codes.holders", "codes.assignments", "codes.export", "codes.export, remaining",
    "events.backlog", "events.dead_letters", "campaigns.of_list", "campaigns.lists_of",
    "partners.get", "partners.all", "lists.get", "lists.find", "uploads.get", "uploads.errors",
    "uploads.error_file", "uploads.original_file", "uploads.find", "uploads.explain_duplicate", "audit.entries",
]  # fmt: skip


def refused(error: type[Exception], call: Callable[[], object]) -> type[Exception]:
    with pytest.raises(error):
        call()
    return error
