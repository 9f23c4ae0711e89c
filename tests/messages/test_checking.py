from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from partner_vouchers.domain.promo_events import (
    CouponRedeemed,
    CouponReverted,
    CouponRewarded,
    PointsCredited,
    PointsDebited,
    PromoEvent,
    VoucherRewarded,
)
from partner_vouchers.errors import InvalidInput
from partner_vouchers.messages import Finding, FindingKind, MessageTemplate

EVENT = VoucherRewarded(
    occurred_at=datetime(2024, 2, 19, 14, 0, tzinfo=UTC),
    user_id="user-42",
    campaign_id="CMP123456",
    source="Campaign",
    voucher_code="PM500FF-2024",
    list_id="1837",
    list_tag="winter_sale_500",
    list_name="Winter Sale",
    list_description="₹500 off",
    list_expiry=datetime(2024, 3, 31, 23, 59, 59, tzinfo=UTC),
    partner="Puma",
)

GOOD = """Hi {{ Profile.name | default: "there" }},
{% assign code = Linked["New Reactivation Voucher"].code | default: "contact us" %}
{% for word in Event.listDescription | split: " " %}{% endfor %}
{{ Event["CT Source"] }} {{ Event.partner | upcase }} {{ code }} {{ Event[Profile.favourite] }}
{% if Event.campaignId %}{% for i in (1..3) %}{{ i }} of {{ forloop.length }}{% endfor %}{% endif %}
""".replace('{% for word in Event.listDescription | split: " " %}{% endfor %}\n', "")


@pytest.mark.parametrize(
    "source,right",
    [
        ("{{ Event.Wallet Id }}", 'Event["Wallet Id"]'),
        ("Hi {{ Event.Coupon Expiry Date | date: '%d' }}", 'Event["Coupon Expiry Date"]'),
        ("{% if Event.Wallet Id contains 'x' %}{% endif %}", 'Event["Wallet Id"]'),
        ("{{ 'a' | append: Profile.first name }}", 'Profile["first name"]'),
        ("{{ Event.Points }}{% assign x = Event.Order Id %}", 'Event["Order Id"]'),
    ],
)
def test_a_name_with_spaces_is_shown_in_brackets(source: str, right: str) -> None:
    (finding,) = MessageTemplate.check_source(source)
    assert finding.message.endswith(f"; a name with spaces is written {right}")


@pytest.mark.parametrize(
    "source", ["{{ Event.Points and x }}", "{{ Event.a b", "{{ Event.a | b c }} Event.d e"]
)
def test_other_faults_are_told_without_brackets(source: str) -> None:
    (finding,) = MessageTemplate.check_source(source)
    assert "with spaces" not in finding.message


def test_event_tells_the_names_that_its_properties_may_have() -> None:
    assert set(EVENT.properties()) == set(VoucherRewarded.property_names())


def test_template_without_faults() -> None:
    template = MessageTemplate(GOOD)
    linked = ["New Reactivation Voucher"]

    assert template.check() == []
    assert template.check(event=VoucherRewarded, profile=["name", "favourite"], linked=linked) == []


@pytest.mark.parametrize(
    "event",
    [VoucherRewarded, EVENT, EVENT.properties(), VoucherRewarded.property_names(), set(EVENT.properties())],
)
def test_event_may_be_a_class_an_event_or_names(event: object) -> None:
    (finding,) = MessageTemplate("{{ Event.listtag }}").check(event=event)  # type: ignore[arg-type]

    assert finding == Finding(
        kind=FindingKind.UNKNOWN_PROPERTY,
        line=1,
        column=4,
        message="Event has no property 'listtag'; did you mean 'listTag'?",
        suggestion="Event.listTag",
    )


@pytest.mark.parametrize(
    "event,name,misspelt",
    [
        (CouponRewarded, "Coupon Code", "Coupon code"),
        (CouponRedeemed, "Discount Amount", "Discount Amont"),
        (CouponReverted, "Cashback Points", "Cashback points"),
        (PointsCredited, "Transaction Id", "Transaction ID"),
        (PointsDebited, "Wallet Description", "Wallet description"),
    ],
)
def test_each_promo_event_tells_its_names(event: type[PromoEvent], name: str, misspelt: str) -> None:
    assert MessageTemplate(f'{{{{ Event["{name}"] }}}}').check(event=event) == []
    (finding,) = MessageTemplate(f'{{{{ Event["{misspelt}"] }}}}').check(event=event)
    assert finding.suggestion == f'Event["{name}"]'


class OnlyProperties:
    def properties(self) -> Mapping[str, object]:
        return {"Coupon Code": "SAVE10"}


def test_event_of_a_host() -> None:
    assert MessageTemplate('{{ Event["Coupon Code"] }}').check(event=OnlyProperties()) == []
    (finding,) = MessageTemplate('{{ Event["Coupon code"] }}').check(event=OnlyProperties())
    assert finding.suggestion == 'Event["Coupon Code"]'


def test_findings_stand_in_the_order_of_the_template() -> None:
    source = (
        "{{ event.partner }}\n"
        "{% if Event.voucherCode == Event.voucherKode %}\n"
        '  {{ Linked["New Reactivation Vouchr"].code | default: Profile.nmae }}\n'
        "{% endif %}{{ Event.elephant }}{{ now }}"
    )
    found = MessageTemplate(source).check(
        event=VoucherRewarded, profile=["name"], linked={"New Reactivation Voucher": None}
    )

    assert [(f.kind, f.line, f.column, f.suggestion) for f in found] == [
        (FindingKind.UNKNOWN_NAME, 1, 4, "Event"),
        (FindingKind.UNKNOWN_PROPERTY, 2, 28, "Event.voucherCode"),
        (FindingKind.UNKNOWN_LINKED, 3, 6, 'Linked["New Reactivation Voucher"]'),
        (FindingKind.UNKNOWN_PROPERTY, 3, 56, "Profile.name"),
        (FindingKind.UNKNOWN_PROPERTY, 4, 15, None),
        (FindingKind.UNKNOWN_NAME, 4, 35, None),
    ]
    assert found[2].message == (
        "there is no linked content 'New Reactivation Vouchr'; did you mean 'New Reactivation Voucher'?"
    )


def test_branches_loops_filters_and_liquid_tags_are_looked_into() -> None:
    places = [
        "{% if false %}{{ Event.x }}{% endif %}",
        "{% unless true %}{% else %}{{ Event.x }}{% endunless %}",
        "{% case 1 %}{% when Event.x %}{% endcase %}",
        "{% case 1 %}{% when 1 %}{% else %}{{ Event.x }}{% endcase %}",
        "{% for i in Event.x limit: 2 %}{% endfor %}",
        "{% for i in (1..Event.x) %}{% endfor %}",
        "{% for i in (1..2) %}{% else %}{{ Event.x }}{% endfor %}",
        "{% tablerow i in (1..2) cols: Event.x %}{% endtablerow %}",
        "{% capture y %}{{ Event.x }}{% endcapture %}",
        "{% cycle Event.x, 'b' %}",
        "{{ 'a' | append: Event.x }}",
        "{{ Profile[Event.x] }}",
        "{% liquid\n echo Event.x\n%}",
        "{% assign a = 'b' | default: Event.x %}",
        "{% ifchanged %}{{ Event.x }}{% endifchanged %}",
    ]
    for source in places:
        found = MessageTemplate(source).check(event=["voucherCode"])
        assert [f.message for f in found] == ["Event has no property 'x'"], source


def test_variables_of_the_template_are_known() -> None:
    source = "{% assign x = 1 %}{{ x }}{% capture y %}{% endcapture %}{{ y }}{% for i in (1..2) %}{{ i }}{% endfor %}"

    assert MessageTemplate(source).check(event=[]) == []
    (finding,) = MessageTemplate("{% for i in (1..2) %}{% endfor %}{{ i }}").check()
    assert finding.kind is FindingKind.UNKNOWN_NAME


def test_only_the_first_findings_are_told() -> None:
    source = "".join(f"{{{{ Event.x{number} }}}}\n" for number in range(5000))
    found = MessageTemplate(source).check(event=[f"y{number}" for number in range(200)])

    assert [finding.line for finding in found] == list(range(1, 101))
    (finding,) = MessageTemplate("{{ Event." + "x" * 900 + " }}").check(event=["x" * 901])
    assert finding.suggestion is None


def test_source_with_wrong_syntax_is_a_finding() -> None:
    assert MessageTemplate.check_source("Hi\n {{ Profile.name | shout }}") == [
        Finding(kind=FindingKind.SYNTAX, line=2, column=20, message="there is no filter 'shout'")
    ]
    (finding,) = MessageTemplate.check_source('{{Linked{"Voucher"].[code]}}', event=VoucherRewarded)
    assert finding.message.endswith('linked content is written {{ Linked["Voucher"].code }}')
    assert MessageTemplate.check_source("{{ Event.partner }}", event=VoucherRewarded) == []
    (finding,) = MessageTemplate.check_source("{{ Event.partnr }}", event=VoucherRewarded)
    assert finding.suggestion == "Event.partner"


@pytest.mark.parametrize(
    "arguments,field",
    [
        ({"event": "voucherCode"}, "event"),
        ({"event": 42}, "event"),
        ({"event": object()}, "event"),
        ({"event": OnlyProperties}, "event"),
        ({"profile": "name"}, "profile"),
        ({"linked": 42}, "linked"),
    ],
)
def test_what_cannot_tell_names(arguments: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        MessageTemplate("Hi").check(**arguments)  # type: ignore[arg-type]
    assert caught.value.field == field
