from collections.abc import Callable

import pytest

from partner_vouchers import RepeatPolicy
from partner_vouchers.adapters.memory import MemoryStorage
from partner_vouchers.errors import CampaignNotLinked, InvalidInput, LinkedContentFailed
from partner_vouchers.linked.voucher_list import VoucherListContent
from partner_vouchers.messages import MessageTemplate, Recipient, Rendered, Skipped
from tests.support.host import FixedClock, Host

LOOK = '{{ Linked["Winter"].code | default: "contact us" }}'


@pytest.fixture
def host() -> Host:
    return Host(MemoryStorage(), FixedClock())


def content(host: Host, *codes: str, repeat: RepeatPolicy = RepeatPolicy.SAME_CODE) -> VoucherListContent:
    found = host.a_list(*codes)
    host.vouchers.campaigns.link(found.id, "CMP", repeat=repeat)
    return VoucherListContent(host.vouchers.codes, campaign_id="CMP")


def renders(linked: VoucherListContent) -> Callable[..., str | None]:
    def render(user: str, source: str = LOOK, **parameters: str) -> str | None:
        return MessageTemplate(source).render(
            event={},
            profile={"vip": False},
            linked={"Winter": linked},
            parameters={"user_id": user, **parameters},
        )

    return render


def distributed(host: Host) -> int:
    return sum(each.distributed for each in host.vouchers.lists.find().items)


def test_each_user_gets_a_code_when_the_message_looks(host: Host) -> None:
    render = renders(content(host, "CODE-1", "CODE-2"))

    assert render("u1", "{% if Profile.vip %}" + LOOK + "{% else %}none{% endif %}") == "none"
    assert distributed(host) == 0
    assert render("u1", LOOK + " " + LOOK) == "CODE-1 CODE-1"
    assert render("u2") == "CODE-2"
    assert render("u1") == "CODE-1"
    assert distributed(host) == 2


def test_default_stands_in_where_the_list_has_no_code(host: Host) -> None:
    render = renders(content(host, "CODE-1"))

    assert render("u1") == "CODE-1"
    assert render("u2") == "contact us"
    host.vouchers.lists.pause(host.vouchers.lists.find().items[0].id)
    assert render("u3") == "contact us"


def test_object_has_the_properties_of_the_event(host: Host) -> None:
    render = renders(content(host, "CODE-1"))
    source = (
        '{{ Linked["Winter"].partner }}, {{ Linked["Winter"].listDescription }}, {{ Linked["Winter"].code }}'
    )

    assert render("u1", source) == "Puma, ₹500 off, CODE-1"


def test_new_codes_are_the_same_when_the_message_is_rendered_again(host: Host) -> None:
    render = renders(content(host, "CODE-1", "CODE-2", "CODE-3", "CODE-4", repeat=RepeatPolicy.NEW_CODE))

    assert render("u1", message_id="m-1") == "CODE-1"
    assert render("u1", message_id="m-1") == "CODE-1"
    assert render("u2", message_id="m-1") == "CODE-2"
    assert render("u1", message_id="m-2") == "CODE-3"
    assert render("u1", message_id="m" * 1000) == "CODE-4"
    assert render("u1", message_id="m-1") == "CODE-1"


def test_without_a_message_id_new_codes_are_new_each_time(host: Host) -> None:
    render = renders(content(host, "CODE-1", "CODE-2", repeat=RepeatPolicy.NEW_CODE))

    assert [render("u1"), render("u1"), render("u1")] == ["CODE-1", "CODE-2", "contact us"]


def test_list_without_a_campaign(host: Host) -> None:
    found = host.a_list("CODE-1")
    render = renders(VoucherListContent(host.vouchers.codes, list_id=found.id))

    assert render("u1") == "CODE-1"


def test_campaign_without_lists_is_a_failure_and_no_lack_of_codes(host: Host) -> None:
    render = renders(VoucherListContent(host.vouchers.codes, campaign_id="CMP"))

    with pytest.raises(LinkedContentFailed) as caught:
        render("u1")
    assert isinstance(caught.value.cause, CampaignNotLinked)


def test_parameters_are_the_context_of_eligibility_rules(host: Host) -> None:
    strict = Host(
        MemoryStorage(), FixedClock(), eligibility={"gold": lambda user: user.get("tier") == "gold"}
    )
    found = strict.a_list("CODE-1")
    strict.vouchers.campaigns.link(found.id, "CMP", eligibility="gold")
    render = renders(VoucherListContent(strict.vouchers.codes, campaign_id="CMP"))

    assert render("u1", tier="silver") == "contact us"
    assert render("u1", tier="gold") == "CODE-1"


def test_a_campaign_of_messages(host: Host) -> None:
    linked = {"Winter": content(host, "CODE-1", "CODE-2")}
    template = MessageTemplate(
        '{% assign code = Linked["Winter"].code | default: "" %}{% if code == "" %}{% abort "sold out" %}{% endif %}'
        "{{ code }}"
    )
    users = [Recipient(user_id=f"u{number}") for number in (1, 2, 3)]

    assert list(template.render_many(users, linked=linked)) == [
        Rendered("u1", "CODE-1"),
        Rendered("u2", "CODE-2"),
        Skipped("u3", "sold out"),
    ]


@pytest.mark.parametrize("where", [{}, {"campaign_id": "CMP", "list_id": "1"}])
def test_codes_come_from_one_place(host: Host, where: dict[str, str]) -> None:
    with pytest.raises(InvalidInput, match="either campaign_id or list_id"):
        VoucherListContent(host.vouchers.codes, **where)
