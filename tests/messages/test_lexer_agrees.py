"""The lexer yields what the engine's own yields, where that one takes the source for whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from liquid.exceptions import LiquidSyntaxError
from liquid.lex import get_lexer
from liquid.token import TOKEN_CONTENT, TOKEN_DOC, Token

from partner_vouchers.messages import MessageTemplate
from partner_vouchers.messages.lexer import tokenize

inner = st.text(alphabet="ab1 |.'-\n\t#", max_size=8)
pieces = st.one_of(
    st.text(alphabet="ab \n-}%{", max_size=6).filter(
        # `{{%` is ambiguous, and the engine decides by what stands far behind it.
        lambda text: "{{" not in text + "{" and "{%" not in text
    ),
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
# In a comment the engine looks for whole outputs and tags, and may find one that ends beyond it.
commented = st.lists(
    pieces.filter(lambda piece: "{{%" not in piece + "{%" and "}}" not in piece + "}"), max_size=3
).map(lambda body: "{% comment %}" + "".join(body) + "{% endcomment %}")
# Of a source that ends in a line end the engine cuts that off, and may strip it.
sources = st.lists(pieces | commented, max_size=6).map(lambda found: "".join(found) + ".")


@given(sources)
def test_lexer_agrees_with_that_of_the_engine(source: str) -> None:
    try:
        # A `doc` is for those who read the template, and is dropped.
        expected = [token for token in get_lexer()(source) if token.kind != TOKEN_DOC]
    except LiquidSyntaxError:
        # What is not whole need not be told alike.
        return
    found = list(tokenize(source))
    assert whole(found) == whole(expected)


def whole(tokens: list[Token]) -> list[tuple[str, str, int | None]]:
    """Return kinds, values and places of tokens."""
    return [(token.kind, token.value, place(token)) for token in tokens]


def place(token: Token) -> int | None:
    """Where a token begins; that of white space and of nothing is not told alike, and leads nowhere."""
    return token.start_index if token.value and token.kind != TOKEN_CONTENT else None


@pytest.mark.parametrize(
    "source",
    [
        "{% comment %}{% raw %}{% endcomment %}{% endraw %}{% endcomment %}x",
        "{% comment %}{% raw %}{% comment %}{% endraw %}{% endcomment %}x",
        "{% comment %}{% raw %}{{ x {% endraw %}{% endcomment %}x",
        "{%- comment -%}{%- raw -%} {% endcomment %} {%- endraw -%} {%- endcomment -%} x",
        "{% comment %}{%raw%}a{%endraw%}{% raw %}{% endcomment %}{% endraw %}{% endcomment %}x",
        "{% comment %}{% doc %}{% endcomment %}{% enddoc %}{% endcomment %}x",
        "{% comment %}{% raw %} never closed {% endcomment %}x",
        "{% comment %}{% comment %}{% raw %}{% endcomment %}{% endraw %}{% endcomment %}{% endcomment %}x",
    ],
)
def test_a_comment_may_hold_a_raw_block(source: str) -> None:
    assert MessageTemplate(source).render(event={}) == "x"
