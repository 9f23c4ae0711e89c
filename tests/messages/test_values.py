"""Values print and compare as Liquid does it, wherever they are in a template."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from fractions import Fraction
from types import MappingProxyType
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partner_vouchers.errors import MessageError
from partner_vouchers.messages import MessageTemplate
from partner_vouchers.messages.filters import ALLOWED


class Tier(Enum):
    GOLD = "gold"


class Level(IntEnum):
    TWO = 2


class City(StrEnum):
    PUNE = "Pune"


class OldCity(str, Enum):  # noqa: UP042 - it prints otherwise than a StrEnum
    PUNE = "Pune"


KOLKATA = timezone(timedelta(hours=5, minutes=30))
PRINTED: list[tuple[object, str]] = [
    (None, ""),
    (True, "true"),
    (False, "false"),
    ("a", "a"),
    (0, "0"),
    (-7, "-7"),
    (2.0, "2.0"),
    (0.1, "0.1"),
    (123456789.125, "123456789.125"),
    (1e16, "1.0e+16"),
    (1.5e-7, "1.5e-07"),
    (float("inf"), "Infinity"),
    (float("-inf"), "-Infinity"),
    (float("nan"), "NaN"),
    (Decimal("20.50"), "20.50"),
    (Decimal("1E+2"), "100"),
    (Decimal("1E-7"), "0.0000001"),
    ([], ""),
    ([None, True, "a", 1.5, [2, [False]]], "truea1.52false"),
    (("a", None), "a"),
    ({"a"}, "a"),
    (range(1, 4), "1..3"),
    ({}, "{}"),
    (
        {"city": 'P"u', "none": None, "flags": [True, None, "x"], 3: Decimal("1E+1")},
        '{"city"=>"P\\"u", "none"=>nil, "flags"=>[true, nil, "x"], 3=>10}',
    ),
    (MappingProxyType({"a": False}), '{"a"=>false}'),
    ([{"a": None}], '{"a"=>nil}'),
    (date(2027, 3, 31), "2027-03-31"),
    (datetime(2027, 3, 31, 18, 30, 0, 5), "2027-03-31 18:30:00"),  # noqa: DTZ001
    (datetime(2027, 3, 31, 18, 30, tzinfo=UTC), "2027-03-31 18:30:00 UTC"),
    (datetime(2027, 3, 31, 18, 30, tzinfo=KOLKATA), "2027-03-31 18:30:00 +0530"),
    (Tier.GOLD, "gold"),
    (Level.TWO, "2"),
    (City.PUNE, "Pune"),
    (OldCity.PUNE, "Pune"),
    (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    (Fraction(1, 2), "1/2"),
]
by_value = pytest.mark.parametrize("value,text", PRINTED, ids=lambda each: repr(each)[:40])


def render(source: str, profile: Mapping[str, object], **options: str) -> str | None:
    return MessageTemplate(source, **options).render(event={}, profile=profile)  # type: ignore[arg-type]


PLACES = [
    "[{{ Profile.x }}]",
    "{{ '[' | append: Profile.x | append: ']' }}",
    "{{ ']' | prepend: Profile.x | prepend: '[' }}",
    "{{ '[?]' | replace: '?', Profile.x }}",
    "{{ '[?]' | replace_first: '?', Profile.x }}",
    "{{ '[?]' | replace_last: '?', Profile.x }}",
    "{{ 'a,b' | split: ',' | join: Profile.x | replace_first: 'a', '[' | replace_last: 'b', ']' }}",
    "{% assign v = Profile.x %}[{{ v }}]",
    "{% capture v %}[{{ Profile.x }}]{% endcapture %}{{ v }}",
    "{% echo '[' | append: Profile.x %}]",
    "[{% cycle Profile.x, 'y' %}]",
    "[{% for i in (1..1) %}{{ Profile.list }}{% endfor %}]",
    "[{{ Profile.outer | map: 'x' }}]",
    "[{{ Profile.none | default: Profile.x }}]",
    "[{% ifchanged %}{{ Profile.x }}{% endifchanged %}]",
    "[{% liquid\n echo Profile.x\n%}]",
]


@by_value
def test_a_value_prints_alike_everywhere(value: object, text: str) -> None:
    profile = {"x": value, "list": [value], "outer": [{"x": value}], "none": None}
    for source in PLACES:
        assert render(source, profile) == f"[{text}]", source
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&#34;")
    for source in ("{{ Profile.x }}", "{{ Profile.x | strip }}", "{{ '' | append: Profile.x }}"):
        assert render(source, {"x": value}, escape="html") == escaped.strip(), source


@pytest.mark.parametrize("value", [b"Pune", bytearray(b"x"), object(), len, int, iter([1])])
def test_a_value_without_a_printable_form_is_an_error(value: object) -> None:
    loop = "{% for i in (1..2) %}{{ forloop }}{% endfor %}"
    for source in ("{{ Profile.x }}", "{{ 'a' | append: Profile.x }}", "{{ Profile.list }}", loop):
        with pytest.raises(MessageError, match="cannot be printed"):
            render(source, {"x": value, "list": ["a", value]})


odd = st.recursive(
    st.sampled_from([None, True, False, 1e20, Decimal("1E+3"), "a", 5]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abx"), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(sorted(ALLOWED)), odd, st.lists(odd, max_size=2), st.booleans())
def test_no_filter_prints_as_python_does(name: str, left: object, args: list[object], html: bool) -> None:
    given_args = ", ".join(f"Profile.a{index}" for index in range(len(args)))
    source = f"{{{{ Profile.x | {name}{': ' if args else ''}{given_args} }}}}"
    profile = {"x": left} | {f"a{index}": each for index, each in enumerate(args)}
    try:
        message = render(source, profile, **({"escape": "html"} if html else {}))
    except MessageError:
        return
    assert message is not None
    if name not in ("capitalize", "base64_decode", "base64_url_safe_decode"):
        assert not any(word in message for word in ("None", "True", "False", "e+20'", "E+3", "': ", "<"))


BLANK_AND_EMPTY: list[object] = ["", b"", [], (), {}, set(), range(0)]
BLANK: list[object] = [None, False, " ", "\t\n\u00a0"]
NEITHER: list[object] = [
    0,
    0.0,
    Decimal(0),
    True,
    "0",
    "a",
    " a ",
    [None],
    {"a": None},
    date(2027, 1, 1),
    object(),
]
COMPARED = [
    "{% if Profile.x == ? %}yes{% else %}no{% endif %}",
    "{% if ? == Profile.x %}yes{% else %}no{% endif %}",
    "{% if Profile.x != ? %}no{% else %}yes{% endif %}",
    "{% unless Profile.x == ? %}no{% else %}yes{% endunless %}",
    "{% case Profile.x %}{% when ? %}yes{% else %}no{% endcase %}",
    "{% case ? %}{% when 'q', Profile.x %}yes{% else %}no{% endcase %}",
    "{% assign v = Profile.x %}{% if v == ? %}yes{% else %}no{% endif %}",
]


@pytest.mark.parametrize(
    "values,blank,empty",
    [(BLANK_AND_EMPTY, "yes", "yes"), (BLANK, "yes", "no"), (NEITHER, "no", "no")],
    ids=["both", "blank", "neither"],
)
def test_blank_and_empty(values: list[object], blank: str, empty: str) -> None:
    for value in values:
        for source in COMPARED:
            assert render(source.replace("?", "blank"), {"x": value}) == blank, (source, value)
            assert render(source.replace("?", "empty"), {"x": value}) == empty, (source, value)


@pytest.mark.parametrize(
    "condition,holds",
    [
        ("Profile.missing == blank", True),
        ("Profile.missing == nil", True),
        ("Profile.missing == empty", False),
        ("Profile.missing != blank", False),
        ("nil == empty", False),
        ("empty == blank", True),
        ("blank == empty", True),
        ("blank != blank", False),
        ("nil == false", False),
        ("'' == blank", True),
        ("Profile.yes == 1", False),
        ("1 == Profile.yes", False),
        ("Profile.yes == true", True),
        ("Profile.yes == 'true'", False),
        ("Profile.no == 0", False),
        ("Profile.price == 20.1", True),
        ("20.1 == Profile.price", True),
        ("Profile.price > 20.09", True),
        ("Profile.price < 20.1", False),
        ("Profile.price <= 20.1", True),
        ("Profile.price >= 20.1", True),
        ("Profile.whole == 20", True),
        ("1 == 1.0", True),
        ("'1' == 1", False),
        ("Profile.ones == Profile.trues", False),
        ("Profile.ones == Profile.decimals", True),
        ("nil < 1", False),
        ("1 > nil", False),
        ("nil >= nil", False),
        ("'a' < 'b'", True),
        ("Profile.day < Profile.later", True),
        ("Profile.list contains 1", False),
        ("Profile.list contains true", True),
        ("Profile.list contains 'a'", True),
        ("Profile.list contains nil", False),
        ("'is true' contains true", True),
        ("'is True' contains true", False),
        ("'a None' contains nil", False),
        ("Profile.object contains 'city'", True),
        ("nil contains 'a'", False),
        ("(1..3) contains 2", True),
    ],
)
def test_comparisons(condition: str, holds: bool) -> None:
    profile = {
        "yes": True,
        "no": False,
        "price": Decimal("20.10"),
        "whole": Decimal("20.00"),
        "list": [True, "a", None],
        "object": {"city": "Pune"},
        "ones": [1, [1.1]],
        "trues": [True, [1.1]],
        "decimals": (Decimal("1.0"), (Decimal("1.1"),)),
        "day": date(2027, 1, 1),
        "later": date(2027, 1, 2),
    }
    assert render(f"{{% if {condition} %}}yes{{% else %}}no{{% endif %}}", profile) == (
        "yes" if holds else "no"
    )


@pytest.mark.parametrize("condition", ["'5' < 5", "true < 5", "5 >= '5'", "Profile.list > 1", "5 contains 5"])
def test_what_has_no_order_is_not_compared(condition: str) -> None:
    with pytest.raises(MessageError):
        render(f"{{% if {condition} %}}{{% endif %}}", {"list": [1]})


@pytest.mark.parametrize(
    "source,message",
    [
        ("{{ Profile.list.first }} {{ Profile.list.last }} {{ Profile.list.size }}", "a c 3"),
        ("{{ Profile.pair.first }} {{ Profile.pair.last }} {{ Profile.pair.size }}", "a b 2"),
        ("{{ Profile.list | first }} {{ Profile.list | last }} {{ Profile.list | size }}", "a c 3"),
        ("{{ Profile.name.size }} {{ Profile.name | size }} {{ Profile.object | size }}", "5 5 2"),
        ("{{ Profile.object.size | default: '-' }} {{ Profile.object.first | default: '-' }}", "- -"),
        ("{{ Profile.object.last | default: '-' }} {{ Profile.none | first }}", "- "),
        ("{{ Profile.name.first | default: '-' }} {{ Profile.count.size | default: '-' }}", "- -"),
        ("{{ Profile.no_items.first | default: '-' }} {{ Profile.no_items.size }}", "- 0"),
        ("{{ Profile.sized.size }} {{ Profile.sized.first }} {{ Profile.sized.last }}", "M 1 9"),
        ("{{ Profile.proxy.size | default: '-' }}{{ Profile.proxy.first | default: '-' }}", "--"),
        ("{% for p in Profile.object %}{{ p.first }}={{ p.last }};{% endfor %}", "a=1;b=2;"),
        ("{% for p in Profile.object %}{{ p }};{{ p[0] }};{% endfor %}", "a1;a;b2;b;"),
        ("{{ Profile.list[Profile.yes] | default: '-' }}", "-"),
    ],
)
def test_first_last_and_size(source: str, message: str) -> None:
    profile = {
        "list": ["a", "b", "c"],
        "pair": ("a", "b"),
        "name": "Meera",
        "object": {"a": 1, "b": 2},
        "none": None,
        "count": 5,
        "no_items": [],
        "sized": {"size": "M", "first": 1, "last": 9},
        "proxy": MappingProxyType({"a": 1}),
        "yes": True,
    }
    assert render(source, profile) == message


@pytest.mark.parametrize("name", ["first", "last"])
def test_an_object_has_no_first_property(name: str) -> None:
    for source in (f"{{{{ Profile.{name} }}}}", f"{{{{ Profile | {name} }}}}", f"{{{{ Event.{name} }}}}"):
        with pytest.raises(MessageError):
            render(source, {"secret": "1234"})


@pytest.mark.parametrize(
    "expression,text",
    [
        ("12.5 | round", "13"),
        ("-7.5 | round", "-8"),
        ("5.015 | round: 2", "5.02"),
        ("-0.4 | round", "0"),
        ("-0.001 | round: 2", "0.0"),
        ("'2.675' | round: 2", "2.68"),
        ("5 | round: 2", "5"),
        ("5.0 | round: 2", "5.0"),
        ("1234.5 | round: -2", "1200"),
        ("1250 | round: -2", "1300"),
        ("2.5 | round: nil", "3"),
        ("2.25 | round: '1'", "2.3"),
        ("nil | round", "0"),
        ("'x' | round: 1", "0"),
        ("1.1 | round: 99999999", "1.1"),
        ("Profile.price | round: 1", "20.2"),
        ("0.1 | plus: 0.2", "0.3"),
        ("1.1 | times: 3", "3.3"),
        ("1 | minus: 0.9", "0.1"),
        ("0.3 | divided_by: 0.1", "3.0"),
        ("7 | divided_by: 2", "3"),
        ("-7 | divided_by: 2", "-4"),
        ("7 | divided_by: 2.0", "3.5"),
        ("7 | modulo: -3", "-2"),
        ("-7.5 | modulo: 2", "0.5"),
        ("0.3 | modulo: 0.1", "0.0"),
        ("1.1 | ceil", "2"),
        ("-1.1 | floor", "-2"),
        ("'-3' | abs", "3"),
        ("3 | at_least: 5.5", "5.5"),
        ("3 | at_most: nil", "0"),
        ("true | plus: 1", "1"),
        ("'nan' | plus: 1", "1"),
        ("'Infinity' | times: 2", "0"),
        ("'-inf' | round", "0"),
        ("nil | plus: '2'", "2"),
        ("'1e300' | plus: 1", "1.0e+300"),
        ("'1e400' | plus: 1", ""),
        ("'-1e308' | times: 10", ""),
        ("Profile.list | sum", "3.3"),
        ("Profile.list | sum: 'x'", ""),
    ],
)
def test_arithmetic(expression: str, text: str) -> None:
    profile = {"price": Decimal("20.15"), "list": [1, None, True, 2.2, "0.1"]}
    source = f"{{{{ {expression} }}}}"
    if text:
        assert render(source, profile) == text
    else:
        with pytest.raises(MessageError):
            render(source, profile)


@given(st.decimals(-10_000, 10_000, places=3), st.integers(0, 3))
def test_round_is_half_away_from_zero(value: Decimal, digits: int) -> None:
    rounded = Decimal(render(f"{{{{ Profile.x | round: {digits} }}}}", {"x": float(value)}) or "")
    shifted = abs(value) * 10**digits
    assert abs(rounded) * 10**digits == int(shifted) + (shifted - int(shifted) >= Decimal("0.5"))
    assert rounded == 0 or (rounded < 0) == (value < 0)


@pytest.mark.parametrize(
    "expression,text",
    [
        ("'Hello' | truncate: 5", "Hello"),
        ("'Hello you' | truncate: 5", "He..."),
        ("'Hello you' | truncate: 2", "..."),
        ("'Hello you' | truncate: 5, nil", "Hello"),
        ("'one two' | truncatewords: 2", "one two"),
        ("'one two three' | truncatewords: 2", "one two..."),
        ("'xab' | remove_last: 'x'", "ab"),
        ("'xab' | replace_last: 'x', 'y'", "yab"),
        ("'abc' | split: nil | join: true", "atruebtruec"),
        ("Profile.flags | join: nil", "1truea1"),
        ("Profile.flags | join: ','", "1,true,,a,1"),
        ("'ab cd' | truncatewords: 1, true", "abtrue"),
        ("'abcdef' | truncate: 5, true", "atrue"),
        ("'aNoneb' | split: nil | size", "6"),
        ("'None' | remove: nil", "None"),
        ("'a true b' | replace: true, 'x'", "a x b"),
        ("12345 | slice: 1, 2", "23"),
        ("true | slice: 0, 2", "tr"),
        ("Profile.orders | map: 'total' | join: ','", "3,,,1"),
        ("Profile.orders | sort: 'total' | map: 'total' | join: ','", "1,3,,"),
        ("Profile.orders | where: 'paid', true | size", "1"),
        ("Profile.orders | where: 'paid' | size", "2"),
        ("Profile.orders | reject: 'paid' | size", "2"),
        ("Profile.orders | find: 'paid', true | map: 'total'", "3"),
        ("Profile.orders | find_index: 'paid', 1", "3"),
        ("Profile.orders | has: 'paid', false", "false"),
        ("Profile.orders | sum: 'total'", "4"),
        ("Profile.flags | uniq | join: ','", "1,true,,a"),
        ("Profile.flags | compact | join: ','", "1,true,a,1"),
        ("Profile.flags | sort_natural | join: ','", "1,1,a,true,"),
        ("nil | concat: Profile.flags | size", "5"),
        ("nil | join", ""),
        ("nil | size", "0"),
    ],
)
def test_filters_treat_values_as_liquid_does(expression: str, text: str) -> None:
    profile = {
        "orders": [{"total": 3, "paid": True}, {"total": None}, {"x": 1}, {"total": 1, "paid": 1}],
        "flags": [1, True, None, "a", 1],
    }
    assert render(f"{{{{ {expression} }}}}", profile) == text


@pytest.mark.parametrize(
    "source,message",
    [
        ("{% for x in Profile.list limit: nil %}{{ x }}{% endfor %}", "abc"),
        ("{% for x in Profile.list limit: 0 %}{{ x }}{% endfor %}", ""),
        ("{% for x in Profile.list limit: 2 offset: nil %}{{ x }}{% endfor %}", "ab"),
        (
            (
                "{% for x in Profile.list limit: 2 %}{{ x }}{% endfor %}|"
                "{% for x in Profile.list offset: continue %}{{ x }}{% endfor %}"
            ),
            "ab|c",
        ),
        (
            "{% tablerow x in Profile.set cols: nil %}{{ x }}{% endtablerow %}",
            '<tr class="row1">\n<td class="col1">a</td></tr>\n',
        ),
        ("{% for x in Profile.set %}{{ x }}{% endfor %}", "a"),
        ("{% for x in Profile.none %}{{ x }}{% else %}none{% endfor %}", "none"),
        ("{% case 1 %}{% when 1, 1 %}a{% when 1 %}b{% else %}c{% endcase %}", "a"),
        ("{% case 2 %}{% when 1 %}a{% when true %}b{% else %}c{% endcase %}", "c"),
        ("{% for i in (1..4) %}{% cycle 'n': 1, 2 %}{% cycle 'm': 1, 2, 3 %};{% endfor %}", "11;22;13;21;"),
        ("{% cycle 1, 2 %}{% cycle 1, 2 %}{% cycle 1, 3 %}", "121"),
        ("{% increment n %}{% increment n %}{{ n }}{% decrement m %}", "012-1"),
    ],
)  # fmt: skip
def test_tags_treat_values_as_liquid_does(source: str, message: str) -> None:
    assert render(source, {"list": ["a", "b", "c"], "set": {"a"}, "none": None}) == message
