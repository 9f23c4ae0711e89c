"""The longest strings that are kept, on every storage: a longer one is refused before anything is stored."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from partner_vouchers import PartnerVouchers
from partner_vouchers.errors import InvalidInput
from tests.support.host import EXPIRY, Host

pytestmark = pytest.mark.every_storage

EMOJI = "".join(map(chr, range(0x1F300, 0x1F5FF)))


def create(vouchers: PartnerVouchers, **changed: Any) -> object:
    return vouchers.lists.create(**{"tag": "winter", "name": "Winter", "expires_at": EXPIRY, **changed})


@pytest.mark.parametrize(
    "characters", ["x", "₹", '"', "\\", EMOJI], ids=["x", "rupee", "quote", "backslash", "emoji"]
)
def test_the_longest_names_and_texts_are_kept_and_longer_ones_are_refused(
    host: Host, characters: str
) -> None:
    # By chance, so that no database can make them shorter: an index of PostgreSQL holds 2,704 bytes.
    drawn = Random(0).choices(characters, k=10_000)
    longest, text, character = "".join(drawn[:255]), "".join(drawn), characters[0]
    vouchers = host.vouchers
    vouchers.partners.add(longest, actor=longest)
    found = vouchers.lists.create(
        partner=longest, tag=longest, name=longest, description=text, expires_at=EXPIRY, actor=longest
    )
    upload = vouchers.uploads.add(
        found.id, b"A\nB\nC\n", filename=f"{longest[:251]}.csv", uploaded_by=longest
    )
    vouchers.campaigns.link(found.id, longest, actor=longest)
    reward = vouchers.codes.assign(campaign_id=longest, user_id=longest, idempotency_key=longest)
    assert vouchers.codes.assign(campaign_id=longest, user_id=longest, idempotency_key=longest).replayed
    assert vouchers.lists.find(partner=longest, tag=longest, text=longest).items[0].description == text
    assert vouchers.uploads.get(upload.id).uploaded_by == longest
    assert vouchers.codes.of_user(longest) == [reward.assignment]
    assert vouchers.audit.entries(actor=longest).items
    page = vouchers.lists.find(sort="name", limit=1)
    assert page.next is None
    longer: Any = longest + character
    refusals: list[Callable[[], object]] = [
        lambda: vouchers.partners.add(longer),
        lambda: vouchers.partners.add("Nike", actor=longer),
        lambda: create(vouchers, partner=longest, name=longer),
        lambda: create(vouchers, partner=longest, tag=longer),
        lambda: create(vouchers, partner=longest, description=text + character),
        lambda: vouchers.lists.edit(found.id, name=longer),
        lambda: vouchers.lists.edit(found.id, description=text + character),
        lambda: vouchers.uploads.add(found.id, b"D\n", filename=f"{longest}.csv", uploaded_by="ops"),
        lambda: vouchers.uploads.add(found.id, b"D\n", filename="d.csv", uploaded_by=longer),
        lambda: vouchers.campaigns.link(found.id, longer),
        lambda: vouchers.campaigns.link(found.id, "CMP", eligibility=longer),
        lambda: vouchers.codes.assign(campaign_id=longer, user_id="ann"),
        lambda: vouchers.codes.assign(campaign_id=longest, user_id=longer),
        lambda: vouchers.codes.assign(campaign_id=longest, user_id="ann", idempotency_key=longer),
        lambda: vouchers.codes.assign_many([longer], campaign_id=longest),
        lambda: vouchers.codes.revoke(reward.id, reason=longer),
        lambda: vouchers.events.dead_letters(longer),
    ]
    with host.nothing_changes():
        for refuse in refusals:
            with pytest.raises(InvalidInput):
                refuse()
