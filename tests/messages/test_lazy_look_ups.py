"""A template looks at linked content only where the message needs it."""

from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partner_vouchers.errors import LinkedContentError, LinkedContentFailed, NoLinkedContent
from partner_vouchers.messages import MessageTemplate
from partner_vouchers.messages import expressions as expressions_of_messages
from tests.messages.sources import Source

PROFILE = {
    "gold": True,
    "basic": False,
    "none": None,
    "no_items": [],
    "nils": [None],
    "one": ["x"],
    "two": ["x", "y"],
    "name": "Meera",
    "nick": "",
}
NIKE = 'Linked["Nike"].code'


def render(source: str) -> tuple[str | None, list[str]]:
    """Return the message, and which sources it asked."""
    asked = list[str]()
    answers: dict[str, object] = {
        "Puma": {"code": "PU-1"},
        "Nike": {"code": "NI-1", "count": 1, "codes": ["a", "b"]},
        "Sold out": NoLinkedContent(reason="no code is left"),
        "Broken": LinkedContentError(reason="out of order"),
    }
    linked = {name: Source(answer, name, asked) for name, answer in answers.items()}
    return MessageTemplate(source).render(event={}, profile=PROFILE, linked=linked), asked


@pytest.mark.parametrize(
    "source,message",
    [
        # default
        ("{{ Profile.name | default: NIKE }}", "Meera"),
        ("{{ Profile.name | upcase | default: NIKE | append: '!' }}", "MEERA!"),
        ("{{ Profile.nick | default: 'x' | default: NIKE }}", "x"),
        ("{{ Profile.name | default: 'x', allow_false: NIKE }}", "Meera"),
        ("{% assign v = Profile.name | default: NIKE %}{{ v }}", "Meera"),
        ("{% echo Profile.name | default: NIKE %}", "Meera"),
        ("{% liquid\n assign v = Profile.name | default: NIKE\n echo v\n%}", "Meera"),
        # conditions
        ("{% if Profile.gold or NIKE %}gold{% endif %}", "gold"),
        ("{% if Profile.basic and NIKE %}{% else %}no{% endif %}", "no"),
        ("{% if Profile.gold or Profile.basic and NIKE == 'x' %}gold{% endif %}", "gold"),
        ("{% unless Profile.gold or NIKE %}{% else %}gold{% endunless %}", "gold"),
        ("{% if Profile.gold %}gold{% elsif NIKE %}x{% endif %}", "gold"),
        ("{% if Profile.none contains NIKE %}{% else %}no{% endif %}", "no"),
        ("{% if Profile.none < NIKE %}{% else %}no{% endif %}", "no"),
        ("{% if Profile.none >= NIKE %}{% else %}no{% endif %}", "no"),
        # case
        ("{% case Profile.name %}{% when 'Meera', NIKE %}M{% endcase %}", "M"),
        ("{% case Profile.name %}{% when 'Meera' or NIKE %}M{% endcase %}", "M"),
        ("{% case Profile.name %}{% when 'Meera' %}M{% when NIKE %}N{% endcase %}", "M"),
        ("{% case Profile.name %}{% when 'Meera' %}M{% else %}{{ NIKE }}{% endcase %}", "M"),
        ("{% case NIKE %}{% else %}E{% endcase %}", "E"),
        # cycle
        ("{% cycle 'a', NIKE %}", "a"),
        ("{% cycle 'name': 'a', NIKE %}", "a"),
        ("{% for i in (1..3) %}{% cycle 'a', 'b', 'c', NIKE %}{% endfor %}", "abc"),
        # loops
        ("{% for x in Profile.no_items limit: NIKE %}{% endfor %}", ""),
        ("{% for x in Profile.none offset: NIKE %}{% else %}none{% endfor %}", "none"),
        ("{% for x in Profile.two limit: 0 offset: NIKE %}{% endfor %}", ""),
        ("{% tablerow x in Profile.no_items cols: NIKE %}{% endtablerow %}", ""),
        ("{% for x in Profile.two %}{{ x }}{% break %}{{ NIKE }}{% endfor %}", "x"),
        ("{% for x in Profile.one %}{{ x }}{% else %}{{ NIKE }}{% endfor %}", "x"),
        # arguments of filters
        ("{{ Profile.name | replace: 'CODE', NIKE }}", "Meera"),
        ("{{ Profile.name | replace_first: 'CODE', NIKE }}", "Meera"),
        ("{{ Profile.name | replace_last: 'CODE', NIKE }}", "Meera"),
        ("{{ Profile.name | truncate: 5, NIKE }}", "Meera"),
        ("{{ Profile.name | truncatewords: 1, NIKE }}", "Meera"),
        ("{{ Profile.one | join: NIKE }}", "x"),
        ("{{ Profile.no_items | where: 'x', NIKE | size }}", "0"),
        ("{{ Profile.none | date: NIKE }}", ""),
        # what is not rendered
        ("{% if Profile.basic %}{{ NIKE }}{% endif %}", ""),
        ("{% comment %}{{ NIKE }}{% endcomment %}", ""),
        ("{% raw %}{{ NIKE }}{% endraw %}", f"{{{{ {NIKE} }}}}"),
        # variables that are not read
        ("{% assign v = NIKE %}none", "none"),
        ("{% assign v = NIKE | upcase | append: Profile.name %}none", "none"),
        ("{% assign v = NIKE %}{% if Profile.basic %}{{ v }}{% endif %}none", "none"),
        ("{% assign v = NIKE %}{% assign w = v | append: '!' %}none", "none"),
        ("{% assign v = NIKE %}{{ Profile.name | default: v }}", "Meera"),
        ("{% assign v = NIKE %}{% assign v = 'own' %}{{ v }}", "own"),
        ('{% assign v = Linked["Nike"] %}{{ Profile.name | default: v.code }}', "Meera"),
        ("{% capture v %}{{ NIKE }}{% endcapture %}none", "none"),
        ("{% capture v %}{% if Profile.gold %}{{ NIKE }}{% endif %}{% endcapture %}none", "none"),
        ("{% assign v = NIKE %}{% capture w %}{{ v }}!{% endcapture %}none", "none"),
        ("{% for i in (1..3) %}{% assign v = NIKE %}{{ i }}{% endfor %}", "123"),
    ],
)
def test_what_is_not_needed_is_not_looked_up(source: str, message: str) -> None:
    assert render(source.replace("NIKE", NIKE)) == (message, [])


@pytest.mark.parametrize(
    "source,message",
    [
        ("{{ Profile.none | default: NIKE }}", "NI-1"),
        ("{{ Profile.basic | default: 'x', allow_false: NIKE }}", "x"),
        ("{{ Profile.name | replace: 'Meera', NIKE }}", "NI-1"),
        ("{{ Profile.name | truncate: 4, NIKE }}", "NI-1"),
        ("{{ Profile.two | join: NIKE }}", "xNI-1y"),
        ("{% if Profile.basic or NIKE %}yes{% endif %}", "yes"),
        ("{% case 'NI-1' %}{% when 'x', NIKE %}N{% endcase %}", "N"),
        ("{% for i in (1..2) %}{% cycle 'a', NIKE %}{% endfor %}", "aNI-1"),
        ('{% for x in Profile.two limit: Linked["Nike"].count %}{{ x }}{% endfor %}', "x"),
        ('{% for x in Linked["Nike"].codes %}{{ x }}{% endfor %}', "ab"),
        # Variables have the value that they were given, whatever happened since.
        ("{% assign x = nil %}{% assign v = NIKE | append: x %}{% assign x = 'b' %}{{ v }}", "NI-1"),
        ("{% for x in Profile.nils %}{% assign v = NIKE | append: x %}{% endfor %}{{ v }}", "NI-1"),
        ("{% assign x = Profile.missing %}{% assign v = x | default: NIKE %}{{ v }}", "NI-1"),
        ("{% assign Profile = 'p' %}{% assign v = NIKE | append: Profile %}{{ v }}", "NI-1p"),
        ('{% assign v = Linked["Nike"] %}{{ v.code }} {{ v["code"] }} {{ v.codes.size }}', "NI-1 NI-1 2"),
        ("{% assign v = NIKE %}{{ v | append: '!' | default: 'x' }}", "NI-1!"),
        ("{% for i in (1..2) %}{% assign v = NIKE | append: forloop.index %}{% endfor %}{{ v }}", "NI-12"),
        (
            "{% assign v = NIKE %}{% for i in (1..99) %}{% assign v = v | append: '.' %}{% endfor %}{{ v | size }}",
            "103",
        ),
        ("{% increment n %}{% assign v = NIKE | append: n %}{% increment n %} {{ v }}", "01 NI-11"),
        ("{% assign v = NIKE %}{% if v == blank %}none{% else %}{{ v }}{% endif %}", "NI-1"),
    ],
)
def test_what_is_needed_is_looked_up_once(source: str, message: str) -> None:
    assert render(source.replace("NIKE", NIKE)) == (message, ["Nike"])


def test_a_source_that_has_nothing_counts_as_blank_and_nil() -> None:
    for nothing in ("blank", "nil"):
        source = f'{{% if Linked["Sold out"].code == {nothing} %}}{{{{ {NIKE} }}}}{{% endif %}}'
        assert render(source) == ("NI-1", ["Sold out", "Nike"])
    assert render('{% assign v = Linked["Sold out"].code %}{{ v | default: "contact us" }}') == (
        "contact us",
        ["Sold out"],
    )


def test_a_failing_source_fails_where_it_is_needed() -> None:
    assert render('{% assign v = Linked["Broken"].code %}none') == ("none", [])
    with pytest.raises(LinkedContentFailed) as caught:
        render('{% if true %}\n{% assign v = Linked["Broken"].code %}\n\n{{ v }}{% endif %}')
    assert caught.value.name == "Broken"
    # The place is that of the look-up, in whatever block it is.
    assert caught.value.line in (2, 4)


def test_a_captured_code_is_escaped_once_in_html() -> None:
    template = MessageTemplate(
        '{% capture v %}<b>{{ Linked["Puma"].code }}</b>{% endcapture %}{{ v }}', escape="html"
    )
    message = template.render(event={}, linked={"Puma": Source({"code": "<&>"})})
    assert message == "<b>&lt;&amp;&gt;</b>"


names = st.sampled_from("xyz")
values = st.one_of(
    names, st.sampled_from([NIKE, 'Linked["Puma"].code', "Profile.name", "Profile.none", "'a'", "i"])
)
expressions = st.tuples(values, st.sampled_from(["append", "prepend", "default"]), values).map(
    lambda parts: f"{parts[0]} | {parts[1]}: {parts[2]}"
)
steps = st.recursive(
    st.one_of(
        st.tuples(names, expressions).map(lambda pair: f"{{% assign {pair[0]} = {pair[1]} %}}"),
        names.map("{{{{ {} }}}};".format),
        st.just("{% increment i %}"),
    ),
    lambda inner: st.one_of(
        st.tuples(names, st.lists(inner, max_size=3).map("".join)).map(
            lambda pair: f"{{% capture {pair[0]} %}}{pair[1]}{{% endcapture %}}"
        ),
        st.tuples(names, st.lists(inner, max_size=3).map("".join)).map(
            lambda pair: f"{{% if {pair[0]} == blank %}}{pair[1]}{{% endif %}}"
        ),
        st.lists(inner, max_size=3).map(lambda body: f"{{% for i in (1..2) %}}{''.join(body)}{{% endfor %}}"),
    ),
    max_leaves=12,
)
programs = st.lists(steps, max_size=8).map(
    lambda body: (
        "{% assign i = 0 %}{% assign x = '' %}{% assign y = nil %}{% assign z = 'z' %}" + "".join(body)
    )
)


@given(programs)
def test_looking_up_later_changes_no_message(source: str) -> None:
    later, _ = render(source)
    with patch.object(expressions_of_messages, "_MAX_CHAIN", 0):
        at_once, _ = render(source)
    assert later == at_once
