import sys
import time
import traceback
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from partner_vouchers.domain.promo_events import VoucherRewarded
from partner_vouchers.errors import InvalidInput, MessageError
from partner_vouchers.messages import MAX_SOURCE, MessageTemplate

CODE = "PM500FF-2024"


class BrokenEvent:
    def properties(self) -> str:
        return CODE


class RaisingEvent:
    def properties(self) -> dict[str, object]:
        raise RuntimeError(CODE)


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
ASHA |= {"price": Decimal("20.50"), "whole": Decimal("20.00"), "prices": [Decimal("20.50"), 2]}
ASHA |= {"orders": [{"total": Decimal("20.50")}, {"total": 10}]}


def fails(source: str, event: VoucherRewarded | Mapping[str, object] = REWARDED) -> MessageError:
    with pytest.raises(MessageError) as caught:
        MessageTemplate(source).render(event=event, profile=ASHA)
    return caught.value


@pytest.mark.parametrize(
    "source,message",
    [
        ("Hi {{ Profile.name }}, your code is {{ Event.voucherCode }}", f"Hi Asha, your code is {CODE}"),
        ("{{ Event.partner }}: {{ Event.listDescription }}", "Puma: ₹500 off on orders above ₹2000"),
        (
            "{{ Event['CT Source'] }}, {{ Event.campaignId }}, {{ Event.source }}",
            "Promo Module, CMP123456, Campaign",
        ),
        ("list {{ Event.voucherListId }} ({{ Event.listTag }})", "list 1837 (winter_sale_500)"),
        ("use it by {{ Event.listExpiry | date: '%d %B %Y' }}", "use it by 31 March 2024"),
        ("won at {{ Event.eventTimestamp | date: '%H:%M' }}", "won at 14:00"),
        ("born in {{ Profile.born | date: '%Y' }}", "born in 1990"),
        ("{{ '31-03-2024 23:59:59' | date: '%d %B %Y, %H:%M' }}", "31 March 2024, 23:59"),
        ("{{ '2024-03-31T23:59:59+05:30' | date: '%H:%M %z' }}", "18:29 +0000"),
        ("{{ '1708351200' | date: '%Y-%m-%d %H:%M' }}", "2024-02-19 14:00"),
        ("{{ 1708351200 | date: '%Y-%m-%d %H:%M' }}", "2024-02-19 14:00"),
        ("{{ Profile.points | default: 5, allow_false: true }}", "120"),
        ("{{ Profile.orders | sum: 'total' }}", "30.5"),
        ("{{ Profile.price | plus: 1 }}, {{ 1 | plus: Profile.price }}", "21.5, 21.5"),
        (
            "{{ Profile.whole | times: 2 }}, {{ Profile.prices | sum }}, {{ Profile.price }}",
            "40, 22.5, 20.50",
        ),
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


@pytest.mark.skipif(sys.platform == "win32", reason="the time zone of a process cannot be set")
def test_seconds_are_shown_in_utc_wherever_the_server_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    template = MessageTemplate("{{ Event.eventTimestamp | date: '%d.%m.%Y %H:%M' }}")
    with monkeypatch.context() as server:
        server.setenv("TZ", "IST-5:30")
        time.tzset()
        message = template.render(event=REWARDED)
    time.tzset()

    assert message == "19.02.2024 14:00"


def test_template_serves_many_users() -> None:
    template = MessageTemplate("Hi {{ Profile.name | default: 'there' }}")

    assert template.render(event=REWARDED, profile={"name": "Asha"}) == "Hi Asha"
    assert template.render(event=REWARDED, profile={"name": ""}) == "Hi there"
    assert template.render(event=REWARDED, profile={"name": None}) == "Hi there"
    assert template.render(event=REWARDED, profile={}) == "Hi there"
    assert template.render(event=REWARDED) == "Hi there"


def test_event_may_be_a_mapping_of_properties() -> None:
    template = MessageTemplate("{{ Event['Coupon Code'] }} is worth {{ Event['Discount Amount'] }}")

    assert template.render(event={"Coupon Code": "SAVE10", "Discount Amount": 10.5}) == "SAVE10 is worth 10.5"


@pytest.mark.parametrize(
    "source,message",
    [
        ("<b>{{ Profile.name }}</b>", "<b>&lt;i&gt;Tom &amp; &#39;Jo&#39;&lt;/i&gt;</b>"),
        ("{{ Profile.name | append: '!' }}", "&lt;i&gt;Tom &amp; &#39;Jo&#39;&lt;/i&gt;!"),
        (
            "{% capture x %}{{ Profile.name }}{% endcapture %}{{ x }}",
            "&lt;i&gt;Tom &amp; &#39;Jo&#39;&lt;/i&gt;",
        ),
        ("{{ Event.listDescription }}", "₹500 off on orders above ₹2000"),
        ("{{ Profile.name | strip_html }}", "Tom &amp; &#39;Jo&#39;"),
        (
            "{% capture x %}<p>{{ Profile.name }}</p>{% endcapture %}{{ x | strip_html }}",
            "&lt;i&gt;Tom &amp; &#39;Jo&#39;&lt;/i&gt;",
        ),
        ("{{ Profile.name | replace: 'Tom', '<u>' }}", "&lt;i&gt;&lt;u&gt; &amp; &#39;Jo&#39;&lt;/i&gt;"),
        ("{{ '<u>' | append: Profile.name }}", "<u>&lt;i&gt;Tom &amp; &#39;Jo&#39;&lt;/i&gt;"),
        ("{{ Profile.name | split: ' ' | join: '<br>' }}", "&lt;i&gt;Tom<br>&amp;<br>&#39;Jo&#39;&lt;/i&gt;"),
        ("{{ Profile.name | url_encode }}", "%3Ci%3ETom+%26+%27Jo%27%3C%2Fi%3E"),
        ("{{ Profile.name | escape | escape_once }}", "&lt;i&gt;Tom &amp; &#39;Jo&#39;&lt;/i&gt;"),
    ],
)
def test_html_escapes_values_but_not_the_template(source: str, message: str) -> None:
    profile = {"name": "<i>Tom & 'Jo'</i>"}

    assert MessageTemplate(source, escape="html").render(event=REWARDED, profile=profile) == message


def test_plain_text_is_not_escaped() -> None:
    assert MessageTemplate("{{ Profile.name }}").render(event={}, profile={"name": "Tom & Jo"}) == "Tom & Jo"


def test_a_value_is_never_taken_for_html_or_for_a_template() -> None:
    value = "{{ Event.voucherCode }}<script>"

    assert MessageTemplate("{{ Profile.x }}").render(event=REWARDED, profile={"x": value}) == value
    with pytest.raises(MessageError, match="there is no filter 'safe'"):
        MessageTemplate("{{ Profile.x | safe }}", escape="html").render(event=REWARDED, profile={"x": value})


@pytest.mark.parametrize(
    "event", [None, "a text", 42, ["Event"], object(), VoucherRewarded, BrokenEvent(), RaisingEvent()]
)
def test_what_is_no_event(event: object) -> None:
    with pytest.raises(InvalidInput, match="event: must be an event, or a mapping of its properties"):
        MessageTemplate("Hi").render(event=event)  # type: ignore[arg-type]


@pytest.mark.parametrize("argument", ["profile", "linked", "parameters"])
@pytest.mark.parametrize("given", ["a text", 42, ["name"]])
def test_what_is_no_mapping(argument: str, given: object) -> None:
    with pytest.raises(InvalidInput, match=f"{argument}: must be a mapping"):
        MessageTemplate("Hi").render(event={}, **{argument: given})  # type: ignore[arg-type]


@pytest.mark.parametrize("source", [None, 42, b"Hi", ["Hi"]])
def test_source_that_is_no_text(source: object) -> None:
    with pytest.raises(InvalidInput, match="source: must be a string"):
        MessageTemplate(source)  # type: ignore[arg-type]


def test_unknown_way_to_escape() -> None:
    with pytest.raises(InvalidInput, match="escape: must be 'html' or None"):
        MessageTemplate("Hi", escape="xml")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "source,path,line",
    [
        ("Hi\n{{ Profile.nmae }}", "Profile.nmae", 2),
        ("{{ Event.vouchercode }}", "Event.vouchercode", 1),
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


@pytest.mark.parametrize(
    "source,reason,line",
    [
        ("Hi\n{{ Profile.name", "expected '}}', found end of file", 2),
        ("Hi\n{{ Profile.name | }}\nBye", "expected word, found end of expression", 2),
        ("\n{% if Profile.name == %}\nHi\n{% endif %}", "found end of expression", 2),
        ("{% if Profile.name %}\nHi\n", "expected tag endif", 2),
        ("{% for %}{% endfor %}", "missing expression", 1),
        ("Hi\n{{ Profile.name | shout }}", "there is no filter 'shout'", 2),
        ("{% if Profile.name == 'x' %}{{ Profile.name | safe }}{% endif %}", "there is no filter 'safe'", 1),
        ("Hi {% raw %}{{ x }}", "raw is never closed", 1),
        ("\n{% comment %} Hi", "comment tag was never closed", 2),
        ("{% abort Event.voucherCode %}", "expected string, found word", 1),
        ("{% abort 'no' 'code' %}", "unexpected token string", 1),
        ("\n\n{% coupon %}", "unexpected tag 'coupon'", 3),
        ("{% include 'other' %}", "unexpected tag 'include'", 1),
        ("{% render 'other' %}", "unexpected tag 'render'", 1),
        ("\n" + "{% if true %}" * 31, "block nesting limit reached", 2),
        ("{{ " + "a[" * 3000 + "b" + "]" * 3000 + " }}", "longer than 1000 characters", 1),
        ("\n{{ " + "a[" * 20 + "b" + "]" * 20 + " }}", "more than 5 levels of brackets", 2),
        ("{% " + "x" * 5000 + " %}", "longer than 1000 characters", 1),
        ("x" * (MAX_SOURCE + 1), "longer than 100000 characters; shorten it", None),
    ],
)
def test_wrong_syntax_is_found_when_the_template_is_made(source: str, reason: str, line: int | None) -> None:
    with pytest.raises(MessageError) as caught:
        MessageTemplate(source)

    assert reason in caught.value.reason
    assert caught.value.line == line


@pytest.mark.parametrize(
    "source,reason",
    [
        ("\n{% for i in (1..1000000000) %}{% endfor %}", "a range has more than 10000 numbers"),
        (
            "\n{% for i in (1..500) %}{% for j in (1..500) %}x{% endfor %}{% endfor %}",
            "the loops have more than 10000 iterations",
        ),
        (
            "\n{% for i in (1..10000) %}" + "Hello! " * 20 + "{% endfor %}",
            "the message is longer than 1000000 characters",
        ),
        (
            "\n{% assign x = 'x' %}{% for i in (1..100) %}{% assign x = x | append: x %}{% endfor %}",
            "the filter 'append' returns more than 100000 characters",
        ),
    ],
)
def test_runaway_template(source: str, reason: str) -> None:
    error = fails(source)

    assert error.reason == reason
    assert error.line == 2


@pytest.mark.parametrize(
    "source",
    [
        "{{ Event.voucherCode | date: '%Y' }}",
        "{{ 'now' | date: '%Y' }}",
        "{{ '31-02-2024 10:00:00' | date: '%Y' }}",
        "{{ '03-31-2024 10:00:00' | date: '%Y' }}",
        "{{ 'today' | date: '%Y' }}",
        "{{ 100000000000000000000 | date: '%Y' }}",
        "{{ 1 | divided_by: 0 }}",
        "{{ 'Infinity' | plus: 1 | round }}",
        "{{ Event.voucherCode | slice: Event.voucherCode }}",
        "{{ Event.voucherCode | base64_decode }}",
    ],
)
def test_filter_that_fails(source: str) -> None:
    error = fails("\n" + source)

    assert "cannot work on this value or with these arguments" in error.reason
    assert error.line == 2


@pytest.mark.parametrize(
    "source,reason",
    [
        ("{{ Event.x | truncate: 3, 4, 5 }}", "the filter 'truncate' takes 0 to 2 arguments, not 3"),
        ("{{ Event.x | append }}", "the filter 'append' takes 1 argument, not 0"),
        ("{{ Event.x | upcase: 1 }}", "the filter 'upcase' takes 0 arguments, not 1"),
        ("{{ Event.x | date }}", "the filter 'date' takes 1 argument, not 0"),
        ("{{ Event.x | default: 1, 2 }}", "the filter 'default' takes 0 to 1 arguments, not 2"),
        (
            "{{ Event.x | replace: seq: 'P', sub: 'Q' }}",
            "the filter 'replace' takes no argument by the name 'seq'",
        ),
        (
            "{{ Event.x | join: environment: Event }}",
            "the filter 'join' takes no argument by the name 'environment'",
        ),
        (
            "{{ Event.x | default: 'x', environment: Event }}",
            "the filter 'default' takes no argument by the name 'environment'",
        ),
        (
            "{{ Event.x | date: 'x', context: Event }}",
            "the filter 'date' takes no argument by the name 'context'",
        ),
    ],
)
def test_filter_with_arguments_that_it_does_not_take(source: str, reason: str) -> None:
    with pytest.raises(MessageError) as caught:
        MessageTemplate("\n{% if false %}" + source + "{% endif %}")

    assert (caught.value.reason, caught.value.line) == (reason, 2)


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
    ],
)
def test_error_never_tells_the_code(source: str) -> None:
    error = fails(source, {**REWARDED.properties(), "broken": Unprintable()})

    assert CODE not in "".join(traceback.format_exception(error)) + repr(error)
    assert error.__context__ is None


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError(f"cannot print {CODE}")


@pytest.mark.parametrize("value", [Unprintable(), "\ud800"])
def test_value_that_cannot_be_printed(value: object) -> None:
    assert fails("{{ Event.x }}", {"x": value}).reason.startswith(
        ("rendering failed (", "the message holds half")
    )


@pytest.mark.parametrize("tag", ["break", "continue"])
def test_break_outside_of_a_loop(tag: str) -> None:
    error = fails(f"\n{{% {tag} %}}")

    assert error.reason == f"'{tag}' is outside of a loop"
    assert error.line == 2


def test_error_tells_line_and_column() -> None:
    error = fails("Hi\n  {{ Profile.nmae }}")

    assert (error.line, error.column) == (2, 6)
    assert str(error).startswith("message template: line 2: ")


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
    with pytest.raises(MessageError) as caught:
        MessageTemplate(source)

    assert caught.value.reason.endswith(
        'linked content is written {{ Linked["New Reactivation Voucher"].code }}'
    )
    assert caught.value.line == source.count("\n") + 1


@pytest.mark.parametrize(
    "source",
    ['{{ Linked["A"].code }} {{ Profile.name + 1 }}', "{{ Linked['A'].code + 1 }}", "{{ Linked.A + 1 }}"],
)
def test_other_faults_are_not_blamed_on_linked_content(source: str) -> None:
    with pytest.raises(MessageError) as caught:
        MessageTemplate(source)

    assert "linked content" not in caught.value.reason
