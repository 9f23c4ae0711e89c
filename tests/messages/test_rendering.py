"""What a template renders, how it escapes, and how it says what is wrong with it, without the code."""

import traceback
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

import pytest

from partner_vouchers.domain.promo_events import VoucherRewarded
from partner_vouchers.errors import InvalidInput, MessageError
from partner_vouchers.messages import MAX_SOURCE, MessageTemplate
from tests.messages.sources import Source

CODE = "PM500FF-2024"
REWARDED = VoucherRewarded(
    occurred_at=datetime(2024, 2, 19, 14, 0, tzinfo=UTC),
    user_id="user-42",
    campaign_id="CMP123456",
    source="Campaign",
    voucher_code=CODE,
    list_id="1837",
    list_tag="winter_sale_500",
    list_name="Winter Sale",
    list_description="₹500 off on orders above ₹2000",
    list_expiry=datetime(2024, 3, 31, 23, 59, 59, tzinfo=UTC),
    partner="Puma",
)
ASHA = {"name": "Asha", "points": 120, "cities": ["Pune", "Goa"], "born": date(1990, 5, 17)}


def refused(source: str) -> MessageError:
    with pytest.raises(MessageError) as caught:
        MessageTemplate(source)
    return caught.value


def fails(source: str, event: VoucherRewarded | Mapping[str, object] = REWARDED) -> MessageError:
    template = MessageTemplate(source)
    with pytest.raises(MessageError) as caught:
        template.render(event=event, profile=ASHA)
    return caught.value


@pytest.mark.parametrize(
    "source,message",
    [
        ("Hi {{ Profile.name }}, your code is {{ Event.voucherCode }}", f"Hi Asha, your code is {CODE}"),
        ("{{ Event.partner }}: {{ Event.listDescription }}", "Puma: ₹500 off on orders above ₹2000"),
        ("{{ Event['CT Source'] }}, {{ Event.campaignId }}", "Promo Module, CMP123456"),
        ("list {{ Event.voucherListId }} ({{ Event.listTag }})", "list 1837 (winter_sale_500)"),
        ("use it by {{ Event.listExpiry | date: '%d %B %Y' }}", "use it by 31 March 2024"),
        ("won at {{ Event.eventTimestamp | date: '%H:%M' }}", "won at 14:00"),
        ("{{ Profile.points | default: 5, allow_false: true }}", "120"),
        ("{{ 'İİİ<SCRIPT>x</SCRIPT>İ<b>' | strip_html }}", "İİİİ"),
        ("{{ '<p>₹500 <b>off</b></p><script>x()</script> <!-- no -->now' | strip_html }}", "₹500 off now"),
        ("{% if Profile.points > 100 %}gold{% else %}silver{% endif %}", "gold"),
        ("{% for city in Profile.cities %}{{ city }} {% endfor %}", "Pune Goa "),
        ("{{ Profile.name | upcase }} 🎁 नमस्ते", "ASHA 🎁 नमस्ते"),
        ("no variables at all", "no variables at all"),
        ("", ""),
    ],
)
def test_message(source: str, message: str) -> None:
    assert MessageTemplate(source).render(event=REWARDED, profile=ASHA) == message


def test_one_template_serves_many_users_and_events() -> None:
    template = MessageTemplate("Hi {{ Profile.name | default: 'there' }}, {{ Event['Discount Amount'] }} off")
    profiles: list[Any] = [{"name": "Asha"}, {"name": ""}, {"name": None}, {}, None]
    messages = [template.render(event={"Discount Amount": 10.5}, profile=each) for each in profiles]
    assert messages == ["Hi Asha, 10.5 off", *["Hi there, 10.5 off"] * 4]


TOM = "&lt;i&gt;Tom &amp; &#39;Jo&#39;&lt;/i&gt;"


@pytest.mark.parametrize(
    "source,message",
    [
        ("<b>{{ Profile.name }}</b>", f"<b>{TOM}</b>"),
        ("{{ Profile.name | append: '!' }}", f"{TOM}!"),
        ("{% capture x %}{{ Profile.name }}{% endcapture %}{{ x }}", TOM),
        ("{{ Event.listDescription }}", "₹500 off on orders above ₹2000"),
        ("{{ Profile.name | strip_html }}", "Tom &amp; &#39;Jo&#39;"),
        ("{% capture x %}<p>{{ Profile.name }}</p>{% endcapture %}{{ x | strip_html }}", TOM),
        ("{{ Profile.name | replace: 'Tom', '<u>' }}", TOM.replace("Tom", "&lt;u&gt;")),
        ("{{ '<u>' | append: Profile.name }}", f"<u>{TOM}"),
        ("{{ Profile.name | split: ' ' | join: '<br>' }}", TOM.replace(" ", "<br>")),
        ("{{ Profile.name | url_encode }}", "%3Ci%3ETom+%26+%27Jo%27%3C%2Fi%3E"),
        ("{{ Profile.name | escape | escape_once }}", TOM),
    ],
)
def test_html_escapes_values_but_not_the_template(source: str, message: str) -> None:
    profile = {"name": "<i>Tom & 'Jo'</i>"}
    assert MessageTemplate(source, escape="html").render(event=REWARDED, profile=profile) == message


def test_a_value_is_never_taken_for_html_or_for_a_template() -> None:
    value = "{{ Event.voucherCode }}<script> & Jo"
    assert MessageTemplate("{{ Profile.x }}").render(event=REWARDED, profile={"x": value}) == value
    assert "there is no filter 'safe'" in refused("{{ Profile.x | safe }}").reason


# --- arguments -------------------------------------------------------------------------------------------------


class BrokenEvent:
    def properties(self) -> str:
        return CODE


class RaisingEvent:
    def properties(self) -> dict[str, object]:
        raise RuntimeError(CODE)


@pytest.mark.parametrize(
    "event", [None, "a text", 42, ["Event"], object(), VoucherRewarded, BrokenEvent(), RaisingEvent()]
)
def test_what_is_no_event(event: Any) -> None:
    with pytest.raises(InvalidInput, match=r"event: must be an event, such as reward\.event"):
        MessageTemplate("Hi").render(event=event)


@pytest.mark.parametrize("argument", ["profile", "linked", "parameters"])
def test_what_is_no_mapping(argument: str) -> None:
    for given in ("a text", 42, ["name"], [], 0):
        wrong: dict[str, Any] = {argument: given}
        with pytest.raises(InvalidInput, match=f"{argument}: must be a mapping"):
            MessageTemplate("Hi").render(event={}, **wrong)


def test_linked_content_is_named_by_strings() -> None:
    wrong: Any = {5: Source({"code": "PU-1"})}
    with pytest.raises(InvalidInput, match="linked: must have strings as names"):
        MessageTemplate("{{ Linked.Puma.code }}").render(event={}, linked=wrong)


@pytest.mark.parametrize(
    "arguments,told",
    [
        *[({"source": source}, "source: must be a string") for source in (None, 42, b"Hi", ["Hi"])],
        ({"source": "Hi", "escape": "xml"}, "escape: must be 'html' or None"),
    ],
)
def test_what_makes_no_template(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        MessageTemplate(**arguments)


# --- faults ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "source,path,line",
    [
        ("Hi\n{{ Profile.nmae }}", "Profile.nmae", 2),
        ("{{ Event['Coupon Code'].value | upcase }}", "Event['Coupon Code'].value", 1),
        ("{% liquid\n assign a = 1\n echo Event.codes\n%}", "Event.codes", 3),
        ("\n\n{% if Profile.vip %}VIP{% endif %}", "Profile.vip", 3),
        ("{% for item in Profile.items %}{% endfor %}", "Profile.items", 1),
        ("{{ event.partner }}", "event.partner", 1),
        ("{{ now }}", "now", 1),
        ("{{ today }}", "today", 1),
    ],
)
def test_property_that_is_not_there(source: str, path: str, line: int) -> None:
    error = fails(source)
    assert error.reason == f"{path} is missing; correct the name, or add `| default:` with a replacement"
    assert error.line == line
    assert str(error).startswith(f"message template: line {line}: ")


@pytest.mark.parametrize(
    "source,reason,line,column",
    [
        ("Hi\n{{ Profile.name", "expected '}}', found end of file", 2, 1),
        ("Hi\n  {{ Profile.name | }}\nBye", "expected word, found end of expression", 2, 3),
        ("\n{% if Profile.name == %}\nHi\n{% endif %}", "found end of expression", 2, 7),
        ("{% if Profile.name %}\nHi\n", "expected tag endif", 2, 3),
        ("{% for %}{% endfor %}", "missing expression", 1, 4),
        ("Hi\n{{ Profile.name | shout }}", "there is no filter 'shout'", 2, 19),
        ("Hi {% raw %}{{ x }}", "raw is never closed", 1, 4),
        ("\n{% comment %} Hi", "comment tag was never closed", 2, 1),
        ("{% abort Event.voucherCode %}", "expected string, found word", 1, 10),
        ("{% abort 'no' 'code' %}", "unexpected token string", 1, 15),
        ("\n\n{% coupon %}", "unexpected tag 'coupon'", 3, 4),
        ("{% include 'other' %}", "unexpected tag 'include'", 1, 4),
        ("{% render 'other' %}", "unexpected tag 'render'", 1, 4),
        ("\n" + "{% if true %}" * 31, "block nesting limit reached", 2, None),
        ("{{ " + "a[" * 3000 + "b" + "]" * 3000 + " }}", "longer than 1000 characters", 1, None),
        ("\n{{ " + "a[" * 20 + "b" + "]" * 20 + " }}", "more than 5 levels of brackets", 2, None),
        ("{% " + "x" * 5000 + " %}", "longer than 1000 characters", 1, None),
        ("x" * (MAX_SOURCE + 1), "longer than 100000 characters; shorten it", None, None),
    ],
)
def test_wrong_syntax_is_found_when_the_template_is_made(
    source: str, reason: str, line: int | None, column: int | None
) -> None:
    error = refused(source)
    assert reason in error.reason
    assert (error.line, error.column if column else None) == (line, column)


@pytest.mark.parametrize(
    "source,reason",
    [
        ("{% for i in (1..1000000000) %}{% endfor %}", "a range has more than 10000 numbers"),
        (
            "{% for i in (1..500) %}{% for j in (1..500) %}x{% endfor %}{% endfor %}",
            "the loops have more than 10000 iterations",
        ),
        (
            "{% for i in (1..10000) %}" + "Hello! " * 20 + "{% endfor %}",
            "the message is longer than 1000000 characters",
        ),
        (
            "{% assign x = 'x' %}{% for i in (1..100) %}{% assign x = x | append: x %}{% endfor %}",
            "the filter 'append' returns more than 100000 characters",
        ),
        ("{% break %}", "'break' is outside of a loop"),
        ("{% continue %}", "'continue' is outside of a loop"),
        *[
            (
                f"{{{{ {each} }}}}",
                f"the filter {each.split()[2].rstrip(':')!r} cannot work on this value or with these arguments",
            )
            for each in ("1 | divided_by: 0", "'x' | slice: 'y'", "'x' | base64_decode")
        ],
        ("{{ '1e400' | plus: 1 | round }}", "a number is larger than 1.8e308"),
    ],
)
def test_a_message_that_cannot_be_rendered(source: str, reason: str) -> None:
    error = fails("\n" + source)
    assert (error.reason, error.line) == (reason, 2)


@pytest.mark.parametrize(
    "filters,reason",
    [
        ("truncate: 3, 4, 5", "the filter 'truncate' takes 0 to 2 arguments, not 3"),
        ("append", "the filter 'append' takes 1 argument, not 0"),
        ("upcase: 1", "the filter 'upcase' takes 0 arguments, not 1"),
        ("date", "the filter 'date' takes 1 argument, not 0"),
        ("default: 1, 2", "the filter 'default' takes 0 to 1 arguments, not 2"),
        ("replace: seq: 'P', sub: 'Q'", "the filter 'replace' takes no argument by the name 'seq'"),
        ("join: environment: Event", "the filter 'join' takes no argument by the name 'environment'"),
        (
            "default: 'x', environment: Event",
            "the filter 'default' takes no argument by the name 'environment'",
        ),
        ("date: 'x', context: Event", "the filter 'date' takes no argument by the name 'context'"),
    ],
)
def test_filter_with_arguments_that_it_does_not_take(filters: str, reason: str) -> None:
    error = refused(f"\n{{% if false %}}{{{{ Event.x | {filters} }}}}{{% endif %}}")
    assert (error.reason, error.line) == (reason, 2)


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError(f"cannot print {CODE}")


@pytest.mark.parametrize(
    "source",
    [
        "{{ Event.voucherCode | date: '%Y' }}",
        "{{ Event[Event.voucherCode] }}",
        "{{ Profile[Event.voucherCode].x }}",
        "{{ 1 | divided_by: Event.voucherCode }}",
        "{% if Event.voucherCode > 3 %}{% endif %}",
        "{% for i in (1..3) limit: Event.voucherCode %}{% endfor %}",
        "{{ Event.voucherCode | append: Event.broken }}",
        "{{ Event.broken }}",
    ],
)
def test_error_never_tells_the_code(source: str) -> None:
    error = fails(source, {**REWARDED.properties(), "broken": Unprintable()})
    assert CODE not in "".join(traceback.format_exception(error)) + repr(error)
    assert error.__context__ is None


def test_half_a_character_cannot_be_sent() -> None:
    assert fails("{{ Event.x }}", {"x": "\ud800"}).reason.startswith("the message holds half")


@pytest.mark.parametrize(
    "source",
    [
        '{{Linked{"New Reactivation Voucher"].[code] | default: "contact us"}}',
        '{{ Linked["New Reactivation Voucher"].[code] }}',
        '{{ Linked("New Reactivation Voucher").code }}',
        "{{ Linked{'New Reactivation Voucher'}.code }}",
        'Hi {{ Profile.name }}\n{{Linked{"New Reactivation Voucher"]}}',
    ],
)
def test_malformed_linked_content_is_shown_as_it_should_be(source: str) -> None:
    error = refused(source)
    assert error.reason.endswith('linked content is written {{ Linked["New Reactivation Voucher"].code }}')
    assert error.line == source.count("\n") + 1


@pytest.mark.parametrize(
    "source",
    ['{{ Linked["A"].code }} {{ Profile.name + 1 }}', "{{ Linked['A'].code + 1 }}", "{{ Linked.A + 1 }}"],
)
def test_other_faults_are_not_blamed_on_linked_content(source: str) -> None:
    assert "linked content" not in refused(source).reason
