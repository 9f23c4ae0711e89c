"""Which codes a message takes from real voucher lists."""

from collections.abc import Callable

import pytest

from partner_vouchers.adapters.memory import MemoryStorage
from partner_vouchers.linked.voucher_list import VoucherListContent
from partner_vouchers.messages import MessageTemplate
from tests.support.host import FixedClock, Host

Render = Callable[[str, str], str | None]


@pytest.fixture
def host() -> Host:
    return Host(MemoryStorage(), FixedClock())


@pytest.fixture
def render(host: Host) -> Render:
    linked = {}
    for name, codes in (("Puma", ["PU-1"]), ("Nike", ["NI-1", "NI-2", "NI-3"])):
        found = host.a_list(*codes, tag=name.lower())
        linked[name] = VoucherListContent(host.vouchers.codes, list_id=found.id)

    def message(source: str, user: str) -> str | None:
        template = MessageTemplate(source)
        return template.render(
            event={}, profile={"gold": user == "gold"}, linked=linked, parameters={"user_id": user}
        )

    return message


def taken(host: Host) -> dict[str, int]:
    return {each.tag: each.distributed for each in host.vouchers.lists.find().items}


def test_the_second_list_gives_a_code_only_when_the_first_has_none(host: Host, render: Render) -> None:
    source = '{{ Linked["Puma"].code | default: Linked["Nike"].code | default: "sold out" }}'

    assert [render(source, user) for user in ("u1", "u1")] == ["PU-1", "PU-1"]
    assert taken(host) == {"puma": 1, "nike": 0}
    assert render(source, "u2") == "NI-1"
    assert taken(host) == {"puma": 1, "nike": 1}


def test_a_variable_takes_a_code_only_for_the_users_who_read_it(host: Host, render: Render) -> None:
    source = (
        '{% assign code = Linked["Nike"].code %}{% capture line %}Your code: {{ code }}{% endcapture %}'
        "{% if Profile.gold %}{{ line }}{% else %}Hello{% endif %}"
    )
    assert [render(source, user) for user in ("u1", "gold", "u2")] == ["Hello", "Your code: NI-1", "Hello"]
    assert taken(host)["nike"] == 1


def test_a_list_without_codes_is_blank(host: Host, render: Render) -> None:
    source = '{% if Linked["Puma"].code == blank %}sorry{% else %}{{ Linked["Puma"].code }}{% endif %}'

    assert [render(source, user) for user in ("u1", "u2")] == ["PU-1", "sorry"]
