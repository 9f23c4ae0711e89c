"""Whatever stands in a template: it is rendered, or a `MessageError` says why not."""

import re
import traceback

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from partner_vouchers.errors import LinkedContentError, MessageError, NoLinkedContent
from partner_vouchers.messages import MAX_MESSAGE, MessageTemplate
from partner_vouchers.messages.filters import ALLOWED
from tests.messages.sources import Source

CODE = "PM500FF-2024"
EVENT = {"voucherCode": CODE, "CT Source": "Promo Module", "eventTimestamp": 1708351200}
PROFILE = {
    "name": "Asha <b>",
    "points": 120,
    "rate": 1.5,
    "none": None,
    "yes": True,
    "cities": ["Pune", "Goa", CODE],
    "orders": [{"total": 10, "items": ["a"]}, {"total": "9e99"}],
    "huge": 10**70,
    "odd": "\ud800\x00{{ x }}",
    "code": CODE,
}


LINKED = {
    "Good": Source({"code": CODE, "nested": {"code": CODE}}),
    "Nothing": Source(NoLinkedContent(reason="no code is left")),
    "Broken": Source(LinkedContentError(reason="out of order")),
    "Rude": Source(RuntimeError(CODE)),
}

words = st.sampled_from(
    """
    Event Profile Linked voucherCode name points cities orders items total code none yes huge odd i x y n forloop first
    last size length parentloop index 0 1 -1 2.5 99999999999 nil true false empty blank 'a' "b" 'Good' "CT Source" [ ] (
    ) . .. : , | == != < > <= contains and or not in limit offset reversed cols continue = {{ }} {% %} - ' "
    """.split()  # noqa: SIM905 - easier to read
)
filters = st.sampled_from(sorted({*ALLOWED, "safe", "shout", "json"}))
primitives = st.one_of(
    st.sampled_from(
        [
            "Event.voucherCode", 'Event["CT Source"]', "Profile.name", "Profile.points", "Profile.cities",
            "Profile.orders", "Profile.cities[0]", "Profile.huge", "Profile.odd", "Profile.none", "Profile.missing",
            'Linked["Good"].code', 'Linked["Nothing"].code', 'Linked["Broken"].code', 'Linked["Rude"].code',
            'Linked["Good"].nested', "Linked", 'Linked["Typo"].code', "Linked[Profile.code].code",
            "Event[Profile.code]", "i", "x", "forloop.index", "forloop", "(1..3)", "(1..Profile.points)", "(5..1)",
            "0", "-1", "2.5", "'a'", '""', "'%Y'", "'1e400'", "nil", "true", "empty", "blank", "now", "'now'",
        ]
    ),
    words,
    st.integers().map(str),
    st.text(max_size=8).map(lambda text: f"'{text}'"),
)  # fmt: skip
chains = st.lists(
    st.tuples(filters, st.lists(primitives, max_size=3)).map(
        lambda pair: f" | {pair[0]}" + (": " + ", ".join(pair[1]) if pair[1] else "")
    ),
    max_size=4,
).map("".join)
expressions = st.tuples(primitives, chains).map("".join)
leaves = st.one_of(
    st.text(max_size=10),
    st.lists(words, max_size=8).map(" ".join),
    expressions.map("{{{{ {} }}}}".format),
    expressions.map("{{{{- {} -}}}}".format),
    expressions.map("{{% assign x = {} %}}".format),
    expressions.map("{{% echo {} %}}".format),
    st.lists(primitives, min_size=1, max_size=3).map(lambda found: f"{{% cycle {', '.join(found)} %}}"),
    st.sampled_from(["{% abort %}", "{% abort 'x' %}", "{% break %}", "{% continue %}", "{% increment n %}",
                     "{% decrement n %}", "{% # note %}", "{% render 'x' %}", "{{", "{%", "%}"]),
)  # fmt: skip


# What stands in for `?` is an expression, and for `*` a body.
BLOCKS = [
    "{% if ? == ? %}*{% else %}*{% endif %}", "{% if ? < ? or ? %}*{% endif %}",
    "{% unless ? contains ? %}*{% endunless %}",
    "{% for i in ? limit: ? %}*{% endfor %}", "{% for i in ? reversed %}*{% endfor %}",
    "{% tablerow i in ? cols: ? %}*{% endtablerow %}", "{% case ? %}{% when ? %}*{% endcase %}",
    "{% capture y %}*{% endcapture %}{{ y }}", "{% ifchanged %}*{% endifchanged %}", "{% comment %}*{% endcomment %}",
    "{% raw %}*{% endraw %}", "{% liquid\n*\n%}", "*",
]  # fmt: skip


def blocks(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    bodies = st.lists(inner, max_size=3).map("".join)

    @st.composite
    def block(draw: st.DrawFn) -> str:
        parts = re.split(r"([?*])", draw(st.sampled_from(BLOCKS)))
        return "".join(draw({"?": primitives, "*": bodies}.get(each, st.just(each))) for each in parts)

    return block()


templates = st.recursive(leaves, blocks, max_leaves=12)


def outcome(source: str, escape: bool) -> str | MessageError | None:
    try:
        template = MessageTemplate(source, escape="html" if escape else None)
        template.check(event=EVENT, profile=PROFILE, linked=LINKED)
        return template.render(event=EVENT, profile=PROFILE, linked=LINKED)
    except MessageError as error:
        return error


def holds(source: str, escape: bool) -> None:
    found = outcome(source, escape)
    if isinstance(found, MessageError):
        assert CODE not in "".join(traceback.format_exception(found)) + repr(found)
        assert found.reason
        assert found.line is None or 1 <= found.line <= source.count("\n") + 1
    elif found is not None:
        found.encode()
        assert len(found) <= MAX_MESSAGE


@given(templates, st.booleans())
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
def test_any_template_is_rendered_or_refused(source: str, escape: bool) -> None:
    holds(source, escape)


@given(st.text(), st.booleans())
def test_any_text_is_rendered_or_refused(source: str, escape: bool) -> None:
    holds(source, escape)


@pytest.mark.deep
@given(templates, st.booleans())
@settings(max_examples=3_000, suppress_health_check=[HealthCheck.too_slow])
def test_any_template_is_rendered_or_refused_searched_for_long(source: str, escape: bool) -> None:
    holds(source, escape)
