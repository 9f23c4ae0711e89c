from collections.abc import Mapping
from typing import Any

import pytest

from partner_vouchers.domain.promo_events import (
    CouponRedeemed,
    CouponReverted,
    CouponRewarded,
    PointsCredited,
    PointsDebited,
    VoucherRewarded,
)
from partner_vouchers.errors import InvalidInput
from partner_vouchers.messages import Finding, FindingKind, MessageTemplate
from tests.support.promo import an_event

EVENT = an_event()


class OnlyProperties:
    """An event of a host."""

    def properties(self) -> Mapping[str, object]:
        return {"Coupon Code": "SAVE10"}


GOOD = """Hi {{ Profile.name | default: "there" }},
{% assign code = Linked["New Reactivation Voucher"].code | default: "contact us" %}
{{ Event["CT Source"] }} {{ Event.partner | upcase }} {{ code }} {{ Event[Profile.favourite] }}
{% if Event.campaignId %}{% for i in (1..3) %}{{ i }} of {{ forloop.length }}{% endfor %}{% endif %}
"""


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


def test_template_without_faults() -> None:
    assert set(EVENT.properties()) == set(VoucherRewarded.property_names())
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
        (OnlyProperties(), "Coupon Code", "Coupon code"),
        (CouponRewarded, "Coupon Code", "Coupon code"),
        (CouponRedeemed, "Discount Amount", "Discount Amont"),
        (CouponReverted, "Cashback Points", "Cashback points"),
        (PointsCredited, "Transaction Id", "Transaction ID"),
        (PointsDebited, "Wallet Description", "Wallet description"),
    ],
)
def test_each_event_tells_its_names(event: Any, name: str, misspelt: str) -> None:
    assert MessageTemplate(f'{{{{ Event["{name}"] }}}}').check(event=event) == []
    (finding,) = MessageTemplate(f'{{{{ Event["{misspelt}"] }}}}').check(event=event)
    assert finding.suggestion == f'Event["{name}"]'


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
        ({"event": [1]}, "event"),
        ({"profile": "name"}, "profile"),
        ({"profile": [None]}, "profile"),
        ({"linked": 42}, "linked"),
    ],
)
def test_what_cannot_tell_names(arguments: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        MessageTemplate("Hi").check(**arguments)  # type: ignore[arg-type]
    assert caught.value.field == field


@pytest.mark.parametrize(
    "source,line,column,suggestion",
    [
        ("{% if a %}1{% else if b %}2{% endif %}", 1, 15, "{% elsif b %}"),
        (
            "{% if a %}\n{%- else  if Profile.x == 'y' -%}\n{% else %}3{% endif %}",
            2,
            5,
            "{% elsif Profile.x == 'y' %}",
        ),
        ("{% if a %}1{% else b %}2{% endif %}", 1, 15, "{% elsif b %}"),
        ("{% unless a %}1{% else if b %}2{% endunless %}", 1, 19, "{% elsif b %}"),
        ("{% if a %}1{% else if %}2{% endif %}", 1, 15, None),
        ("{% if a %}1{% else unless b %}2{% endif %}", 1, 15, None),
        ("{% if a %}1{% else %}2{% elsif b %}3{% endif %}", 1, 26, None),
        ("{% if a %}1{% else %}2{% else %}3{% endif %}", 1, 26, None),
        (
            "{% for a in (1..2) %}{% if a %}1{% else if b %}2{% endif %}{% else %}3{% endfor %}",
            1,
            36,
            "{% elsif b %}",
        ),
        ("{% liquid\n if a\n echo 1\n else if b\n echo 2\n endif\n%}", 4, 2, "{% elsif b %}"),
    ],
)
def test_branches_that_are_ignored(source: str, line: int, column: int, suggestion: str | None) -> None:
    given = "{% assign a = 1 %}{% assign b = 1 %}"
    found = MessageTemplate(source + given).check()
    found = [each for each in found if each.kind is not FindingKind.UNKNOWN_NAME]
    assert [(f.kind, f.line, f.column, f.suggestion) for f in found] == [
        (FindingKind.PROBABLE_MISTAKE, line, column, suggestion)
    ]
    assert "elsif" in found[0].message


@pytest.mark.parametrize(
    "source",
    [
        "{% if true %}1{% elsif false %}2{% elsif true %}3{% else %}4{% endif %}",
        "{% if true %}{% if true %}1{% else %}2{% endif %}{% else %}{% if true %}3{% endif %}{% endif %}",
        "{% case 1 %}{% when 1 %}{% if true %}a{% else %}b{% endif %}{% else %}c{% endcase %}",
        "{% for i in (1..2) %}{{ i }}{% else %}none{% endfor %}",
        "{% comment %}{% if true %}{% else if %}{% endif %}{% endcomment %}",
        "{% raw %}{% if true %}{% else if %}{% endif %}{% endraw %}",
    ],
)
def test_branches_that_are_right(source: str) -> None:
    assert MessageTemplate(source).check() == []


@pytest.mark.parametrize(
    "source,suggestion",
    [
        ("{{ Profile.nick | downcase | default: 'x' }}", "Profile.nick | default: 'x' | downcase"),
        (
            "{{ Profile.nick | strip | upcase | default: 'x' | append: '!' }}",
            "Profile.nick | default: 'x' | strip | upcase | append: '!'",
        ),
        ("{% assign n = Event.partner | upcase | default: 'x' %}", "Event.partner | default: 'x' | upcase"),
        (
            '{% echo Linked["Winter"].code | prepend: "#" | default: "x" %}',
            "Linked.Winter.code | default: 'x' | prepend: '#'",
        ),
        ("{{ Profile.a | default: Profile.b | upcase | default: 'x' }}", None),
        ("{{ 'Hi ' | append: Profile.nick | default: 'x' }}", None),
        ("{% liquid\n echo Profile.nick | upcase | default: 'x'\n%}", "Profile.nick | default: 'x' | upcase"),
        ("{% for o in Profile.x %}{{ o.name | upcase | default: 'x' }}{% endfor %}", None),
        ("{{ Profile['पता'].city | upcase | default: 'x' }}", "Profile[\"पता\"].city | default: 'x' | upcase"),
    ],
)  # fmt: skip
def test_a_default_that_comes_too_late(source: str, suggestion: str | None) -> None:
    (finding,) = MessageTemplate(source).check()
    assert finding.kind is FindingKind.PROBABLE_MISTAKE
    assert "`default` is too late" in finding.message
    if suggestion is not None:
        assert finding.suggestion == suggestion
        assert MessageTemplate(f"{{{{ {finding.suggestion} }}}}").check() == []


@pytest.mark.parametrize(
    "source",
    [
        "{{ Profile.nick | default: 'x' | downcase }}",
        "{{ Profile.nick | default: 'x' | strip | default: 'y' }}",
        "{{ Profile.a | default: Profile.b | default: 'x' }}",
        "{{ Event.listExpiry | date: '%d %B' | default: 'further notice' }}",
        "{{ 'x' | upcase | default: 'y' }}",
        "{% for o in Profile.x %}{{ o | upcase | default: 'x' }}{{ forloop.index | plus: 1 | default: 2 }}{% endfor %}",
        "{{ Profile.nick | downcase }}",
        "{{ Event.at | date: '%-d %B %Y, %H:%M' }}",
    ],
)
def test_a_default_in_the_right_place(source: str) -> None:
    assert MessageTemplate(source).check() == []


def test_all_findings_stand_in_the_order_of_the_template() -> None:
    source = "{{ Event.x }}{% if Event.y %}{% else if 1 %}{% endif %}{{ Profile.n | upcase | default: 1 }}{{ Event.z }}"
    found = MessageTemplate(source).check(event=["a"])
    assert [each.column for each in found] == sorted(each.column or 0 for each in found)
    assert [each.kind.name for each in found] == [
        "UNKNOWN_PROPERTY",
        "UNKNOWN_PROPERTY",
        "PROBABLE_MISTAKE",
        "PROBABLE_MISTAKE",
        "UNKNOWN_PROPERTY",
    ]


NAMES = [
    ("Profile.शहर_का_नाम", 'Profile["शहर_का_नाम"]'),
    ("Profile.address.शहर", None),
    ("Profile.address.नाम.pin", 'Profile.address["नाम"].pin'),
    ("Linked.नाम.code", 'Linked["नाम"].code'),
    ("Profile.pre\u0301nom", 'Profile["pre\u0301nom"]'),
    ("Profile.a\u200cb", 'Profile["a\u200cb"]'),
    ("Profile.🎁", 'Profile["🎁"]'),
    ("Profile.ชื่อ", 'Profile["ชื่อ"]'),
    ("Profile.नाम का", 'Profile["नाम का"]'),
    ("Profile.empty", 'Profile["empty"]'),
    ("Profile.limit", 'Profile["limit"]'),
    ("Event.with.x", 'Event["with"].x'),
]


@pytest.mark.parametrize("path,right", [pair for pair in NAMES if pair[1]])
@pytest.mark.parametrize(
    "form",
    ["{{ ? }}", "{{ 'a' | append: ? | upcase }}", "{% if ? == 'x' %}{% endif %}", "{% liquid\n echo ?\n%}"],
)
def test_a_name_that_is_not_read_after_a_dot_is_shown_in_brackets(path: str, right: str, form: str) -> None:
    (finding,) = MessageTemplate.check_source(form.replace("?", path))
    assert finding.message.endswith(right)
    assert MessageTemplate.check_source(form.replace("?", right)) == []


@pytest.mark.parametrize("name", ["город", "名前", "prénom", "first-name", "2nd", "größe"])
def test_names_in_many_scripts_work_after_a_dot(name: str) -> None:
    assert MessageTemplate(f"{{{{ Profile.{name} }}}}").render(event={}, profile={name: "x"}) == "x"


@pytest.mark.parametrize("name", ["शहर_का_नाम", "empty", 'say "hi"', "a b", "limit"])
def test_a_suggestion_can_be_pasted(name: str) -> None:
    (finding,) = MessageTemplate('{{ Event["' + name[:-1].replace('"', "") + 'x"] }}').check(event=[name])
    assert finding.suggestion is not None
    template = MessageTemplate(f"{{{{ {finding.suggestion} }}}}")
    assert template.render(event={name: "found"}) == "found"


@pytest.mark.parametrize(
    "source,hint",
    [
        ("{% if 1 %}{% elif 2 %}{% endif %}", "write `elsif`"),
        ("{% if 1 %}{% elseif 2 %}{% endif %}", "write `elsif`"),
        ("{% case 1 %}{% when 1 %}{% else if 2 %}{% endcase %}", "`else` takes no condition"),
        ("{{ Profile.name | default: \u201cthere\u201d }}", "straight quotes"),
        ("{{ Linked[\u201cPuma\u201d].code }}", "straight quotes"),
        ("{% if not Profile.vip %}{% endif %}", "`unless`"),
        ("{% if (Profile.a or Profile.b) and Profile.c %}{% endif %}", "`if` within `if`"),
        ("{{ 'a' if Profile.vip else 'b' }}", "the tag `if`"),
    ],
)
def test_mistakes_of_other_languages_get_a_hint(source: str, hint: str) -> None:
    (finding,) = MessageTemplate.check_source(source)
    assert hint in finding.message


@pytest.mark.parametrize(
    "condition,column",
    [
        ("Profile.tier == 'gold' or 'silver'", 33),
        ("'gold' or Profile.tier == 'silver'", 7),
        ("Profile.tier and 5", 24),
        ("Profile.a or Profile.b == 1 or 2.5", 38),
    ],
)
def test_a_condition_that_always_holds(condition: str, column: int) -> None:
    for tag in ("if", "unless"):
        (finding,) = MessageTemplate(f"{{% {tag} {condition} %}}{{% end{tag} %}}").check()
        assert finding.kind is FindingKind.PROBABLE_MISTAKE
        assert "always holds" in finding.message
        assert finding.column == column + len(tag) - 2
    assert (
        MessageTemplate("{% if Profile.a == 'x' or Profile.b contains 'y' and true %}{% endif %}").check()
        == []
    )
