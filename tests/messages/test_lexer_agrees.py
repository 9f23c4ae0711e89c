"""The lexer yields what the engine's own yields, where that one takes the source for whole."""

from hypothesis import given
from hypothesis import strategies as st
from liquid.lex import get_lexer
from liquid.token import TOKEN_DOC

from partner_vouchers.messages.lexer import tokenize

inner = st.text(alphabet="ab1 |.'-\n\t#", max_size=8)
pieces = st.one_of(
    st.text(alphabet="ab \n-}%{", max_size=6).filter(lambda text: "{{" not in text and "{%" not in text),
    inner.map("{{{{{}}}}}".format),
    inner.map("{{{{-{}-}}}}".format),
    st.tuples(st.sampled_from(["if", "assign", "liquid", "#", "endif", "x1"]), inner).map(
        lambda pair: f"{{% {pair[0]} {pair[1]} %}}"
    ),
    st.tuples(st.sampled_from(["if", "echo"]), inner).map(lambda pair: f"{{%-{pair[0]} {pair[1]}-%}}"),
    st.tuples(st.sampled_from(["raw", "doc"]), st.text(alphabet="ab {%-}", max_size=8)).map(
        lambda pair: f"{{%- {pair[0]} -%}}{pair[1]}{{% end{pair[0]} -%}}"
    ),
)
commented = st.lists(pieces, max_size=3).map(
    lambda body: "{% comment %}" + "".join(body) + "{% endcomment %}"
)
sources = st.lists(pieces | commented, max_size=6).map("".join)


@given(sources)
def test_lexer_agrees_with_that_of_the_engine(source: str) -> None:
    try:
        # A `doc` is for those who read the template, and is dropped.
        expected = [token for token in get_lexer()(source) if token.kind != TOKEN_DOC]
        found = list(tokenize(source))
    except Exception:  # noqa: BLE001 - what is not whole need not be told alike
        return

    assert [(token.kind, token.value) for token in found] == [(token.kind, token.value) for token in expected]
    assert [token.start_index for token in found if token.kind != "content"] == [
        token.start_index for token in expected if token.kind != "content"
    ]
