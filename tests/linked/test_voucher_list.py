"""Which codes a message takes from real voucher lists."""

from collections.abc import Callable

import pytest

from partner_vouchers import RepeatPolicy
from partner_vouchers.adapters.memory import MemoryStorage
from partner_vouchers.errors import CampaignNotLinked, InvalidInput, LinkedContentFailed
from partner_vouchers.linked.voucher_list import VoucherListContent
from partner_vouchers.messages import MessageTemplate, Recipient, Rendered, Skipped
from tests.support.host import FixedClock, Host

LOOK = '{{ Linked["Puma"].code | default: "contact us" }}'
NIKE = '{{ Linked["Puma"].code | default: Linked["Nike"].code | default: "sold out" }}'
Render = Callable[..., str | None]


@pytest.fixture
def host() -> Host:
    return Host(MemoryStorage(), FixedClock(), eligibility={"gold": lambda user: user.get("tier") == "gold"})


def of_campaign(host: Host, *codes: str, repeat: RepeatPolicy = RepeatPolicy.SAME_CODE) -> VoucherListContent:
    host.a_list(*codes, campaign="CMP", repeat=repeat)
    return VoucherListContent(host.vouchers.codes, campaign_id="CMP")


def renders(**linked: VoucherListContent) -> Render:
    def render(user: str, source: str = LOOK, **parameters: str) -> str | None:
        template, profile = MessageTemplate(source), {"gold": user == "gold"}
        return template.render(
            event={}, profile=profile, linked=linked, parameters={"user_id": user, **parameters}
        )

    return render


@pytest.fixture
def render(host: Host) -> Render:
    """Render from two lists, of which the first has one code."""
    ids = host.a_list("PU-1", tag="puma").id, host.a_list("NI-1", "NI-2", tag="nike").id
    puma, nike = (VoucherListContent(host.vouchers.codes, list_id=list_id) for list_id in ids)
    return renders(Puma=puma, Nike=nike)


def taken(host: Host) -> dict[str, int]:
    return {each.tag: each.distributed for each in host.vouchers.lists.find().items}


@pytest.mark.parametrize(
    "source,users,messages,codes",
    [
        (LOOK + " " + LOOK, ["u1", "u1"], ["PU-1 PU-1"] * 2, {"puma": 1, "nike": 0}),
        (LOOK, ["u1", "u2"], ["PU-1", "contact us"], {"puma": 1, "nike": 0}),
        # The second list gives a code only when the first has none.
        (NIKE, ["u1", "u2", "u1"], ["PU-1", "NI-1", "PU-1"], {"puma": 1, "nike": 1}),
        (
            '{{ Linked["Puma"].partner }}, {{ Linked["Puma"].listDescription }}, {{ Linked["Puma"].code }}',
            ["u1"],
            ["Puma, ₹500 off, PU-1"],
            {"puma": 1, "nike": 0},
        ),
    ],
)
def test_a_message_takes_the_codes_that_it_shows(
    host: Host, render: Render, source: str, users: list[str], messages: list[str], codes: dict[str, int]
) -> None:
    assert [render(user, source) for user in users] == messages
    assert taken(host) == codes


def test_new_codes_are_the_same_when_the_message_is_rendered_again(host: Host) -> None:
    codes = [f"CODE-{number}" for number in range(1, 7)]
    render = renders(Puma=of_campaign(host, *codes, repeat=RepeatPolicy.NEW_CODE))
    requests = [("u1", "m-1"), ("u1", "m-1"), ("u2", "m-1"), ("u1", "m-2"), ("u1", "m" * 1000), ("u1", "m-1")]
    found = [render(user, message_id=message) for user, message in requests]
    assert found == ["CODE-1", "CODE-1", "CODE-2", "CODE-3", "CODE-4", "CODE-1"]
    # Without a message id they are new each time.
    assert [render("u1"), render("u1"), render("u1")] == ["CODE-5", "CODE-6", "contact us"]


def test_campaign_without_lists_is_a_failure_and_no_lack_of_codes(host: Host) -> None:
    with pytest.raises(LinkedContentFailed) as caught:
        renders(Puma=VoucherListContent(host.vouchers.codes, campaign_id="CMP"))("u1")
    assert isinstance(caught.value.cause, CampaignNotLinked)


def test_parameters_are_the_context_of_eligibility_rules(host: Host) -> None:
    host.vouchers.campaigns.link(host.a_list("CODE-1").id, "CMP", eligibility="gold")
    render = renders(Puma=VoucherListContent(host.vouchers.codes, campaign_id="CMP"))
    assert [render("u1", tier=tier) for tier in ("silver", "gold")] == ["contact us", "CODE-1"]


def test_a_campaign_of_messages(host: Host) -> None:
    linked = {"Winter": of_campaign(host, "CODE-1", "CODE-2")}
    template = MessageTemplate(
        '{% assign code = Linked["Winter"].code | default: "" %}{% if code == "" %}{% abort "sold out" %}{% endif %}'
        "{{ code }}"
    )
    outcomes = template.render_many([Recipient(user_id=f"u{number}") for number in (1, 2, 3)], linked=linked)
    assert list(outcomes) == [Rendered("u1", "CODE-1"), Rendered("u2", "CODE-2"), Skipped("u3", "sold out")]


@pytest.mark.parametrize("where", [{}, {"campaign_id": "CMP", "list_id": "1"}])
def test_codes_come_from_one_place(host: Host, where: dict[str, str]) -> None:
    with pytest.raises(InvalidInput, match="either campaign_id or list_id"):
        VoucherListContent(host.vouchers.codes, **where)
