"""Templates written to take time or memory. Run as a program, it renders one and tells what that took."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable

from partner_vouchers.errors import MessageError
from partner_vouchers.messages import MAX_SOURCE, MessageTemplate


def _filled(piece: str, head: str = "", tail: str = "", size: int = MAX_SOURCE) -> str:
    """Repeat a piece until the source is as long as it may be."""
    return head + piece * ((size - len(head) - len(tail)) // len(piece)) + tail


def _cyclic() -> dict[str, object]:
    loop: list[object] = ["x"]
    loop.append(loop)
    loop.append(loop)
    return {"loop": loop}


def _bomb() -> dict[str, object]:
    """A few lists that hold one another, and would be a billion elements written out."""
    value: list[object] = ["x" * 10]
    for _ in range(30):
        value = [value, value]
    return {"bomb": value}


_BIG = "{% assign x = 'xxxxxxxxxx' | append: 'xxxxxxxxxx' %}" + "{% assign x = x | append: x %}" * 11

SOURCES: dict[str, str] = {
    # more and more rounds
    "loops within one another": "{% for a in (1..999) %}{% for b in (1..999) %}{% for c in (1..999) %}x"
    "{% endfor %}{% endfor %}{% endfor %}",
    "loops one after the other": _filled("{% for i in (1..9999) %}{{ i }}{% endfor %}"),
    "loops that write nothing": _filled("{% for i in (1..9999) %}{% if i == 0 %}{% endif %}{% endfor %}"),
    "a long loop body": _filled("{{ i }}", "{% for i in (1..9999) %}", "{% endfor %}"),
    "a long silent loop body": _filled("{% if i %}{% endif %}", "{% for i in (1..9999) %}", "{% endfor %}"),
    "a loop body full of conditions": "{% for i in (1..9999) %}" + "{% if " + "i == 0 or " * 90 + "i %}{% endif %}" * 1
    + "{% endfor %}",
    "a loop body full of filters": "{% for i in (1..9999) %}{{ i" + "|abs" * 200 + " }}{% endfor %}",
    "a loop body full of cases": "{% for i in (1..9999) %}{% case i %}" + "{% when 0 %}" * 5000 + "{% endcase %}{% endfor %}",
    "a loop body full of cycles": "{% for i in (1..9999) %}" + "{% cycle " + "i, " * 300 + "i %}" + "{% endfor %}",
    "table rows": "{% tablerow i in (1..9999) cols: 1 %}{% tablerow j in (1..9999) %}x{% endtablerow %}{% endtablerow %}",
    "a huge limit": "{% for i in (1..9999) limit: 99999999999999999999 %}{% for j in (1..9999) limit: 9999999999 %}x"
    "{% endfor %}{% endfor %}",
    "offsets that go on": _filled("{% for i in (1..9999) offset: 9998 %}{% endfor %}"),
    "loops read backwards": _filled("{% for i in (1..9999) reversed limit: 1 %}{% endfor %}"),
    "loops with a break": _filled("{% for i in (1..9999) %}{% break %}{% endfor %}"),
    # ranges
    "a range in a loop": "{% for i in (1..100000000000) %}{% endfor %}",
    "a range read backwards": "{% for i in (1..1000000000) reversed limit: 1 %}{% endfor %}",
    "a range joined": "{{ (1..3000000) | join }}",
    "a range joined often": _filled("{{ (1..9999) | join }}"),
    "a range beyond machine words": "{{ (1..99999999999999999999999999) | size }}",
    "a range searched": "{% if (1..3000000000) contains 'x' %}{% endif %}",
    "a range kept and searched": "{% assign r = (1..9999) %}" + _filled("{% if r contains 'x' %}{% endif %}", size=90_000),
    "a range reversed": "{{ (1..300000000) | reverse | first }}",
    "a range sorted": "{{ (1..300000000) | sort | first }}",
    "a range sliced": "{{ (1..300000000) | slice: 0, 300000000 | size }}",
    "a range counted uniquely": "{{ (1..9999) | uniq | size }}",
    # growing values
    "replace chains": "{% assign x = 'a' %}" + "{% assign x = x | replace: 'a', 'aaaaaaaaaa' %}" * 30 + "{{ x }}",
    "a replace chain in one tag": "{{ 'a'" + " | replace: 'a', 'aaaaaaaaaa'" * 30 + " }}",
    "replace of nothing": _BIG + "{{ x | replace: '', x }}",
    "replace of each character": _BIG + "{{ x | replace: 'x', x }}",
    "append doubled": "{% assign x = 'x' %}{% for i in (1..999) %}{% assign x = x | append: x %}{% endfor %}",
    "prepend doubled": "{% assign x = 'x' %}{% for i in (1..999) %}{% assign x = x | prepend: x %}{% endfor %}",
    "capture doubled": "{% assign x = 'x' %}{% for i in (1..999) %}{% capture x %}{{ x }}{{ x }}{% endcapture %}{% endfor %}",
    "captures within captures": _BIG + "{% capture a %}" * 29 + "{{ x }}" + "{% endcapture %}{{ a }}" * 29,
    "a big value written often": _BIG + _filled("{{ x }}", size=90_000),
    "a big value captured often": _BIG + "{% for i in (1..9999) %}{% capture y %}{{ x }}{% endcapture %}{% endfor %}",
    "a big value compared often": _BIG + "{% assign y = x | append: '' %}{% for i in (1..9999) %}{% if x == y %}{% endif %}"
    "{% endfor %}",
    "a big value searched often": _BIG + "{% for i in (1..9999) %}{% if x contains 'xxxxxxy' %}{% endif %}{% endfor %}",
    "a split joined": _BIG + "{{ x | split: '' | join: x }}",
    "splits kept": _BIG + "".join(f"{{% assign v{i} = x | split: '' %}}" for i in range(2000)),
    "many variables": "".join(f"{{% assign v{i} = {i} %}}" for i in range(4500)),
    "lists put together": "{% assign x = 'a,b' | split: ',' %}{% for i in (1..999) %}{% assign x = x | concat: x %}{% endfor %}",
    "escaping again and again": "{{ '<' " + "| escape " * 100 + "}}",
    "encoding again and again": "{{ '%' " + "| url_encode " * 70 + "}}",
    "base64 again and again": "{{ 'x' " + "| base64_encode " * 60 + "}}",
    "line breaks": _BIG + "{{ x | split: '' | join: '\n' | newline_to_br | newline_to_br | newline_to_br }}",
    "a list compared with itself": _BIG + "{% assign a = x | split: '' %}{% assign b = x | split: '' %}"
    "{% for i in (1..9999) %}{% if a == b %}{% endif %}{% endfor %}",
    "unique elements": "{% assign a = '" + "".join(chr(0x4E00 + i) for i in range(900)) + "' | split: '' %}"
    + "{{ a | uniq | size }}" * 500,
    "cycles of a big value": _BIG + "{% for i in (1..9999) %}{% cycle x, x %}{% endfor %}",
    "changes of a big value": _BIG + "{% for i in (1..9999) %}{% ifchanged %}{{ x }}{{ i }}{% endifchanged %}{% endfor %}",
    # numbers
    "times chains": "{% assign n = 9 %}" + "{% assign n = n | times: n %}" * 100 + "{{ n }}",
    "times in a loop": "{% assign n = 99999999999 %}{% for i in (1..9999) %}{% assign n = n | times: n %}{% endfor %}{{ n }}",
    "a number of a thousand digits": "{{ " + "9" * 990 + " | times: 2 }}",
    "a text of many digits": _BIG.replace("x'", "9'").replace("xxxxxxxxx", "999999999") + "{{ x | plus: 1 }}",
    "a huge exponent": "{{ '1e999999999' | plus: 1 | ceil }}",
    "a sum of huge exponents": "{{ '1e999999999,1e999999999' | split: ',' | sum | round }}",
    "rounding to many places": "{{ 1.5 | round: 99999999999 }}",
    "counting down": _filled("{% decrement n %}"),
    # dates
    "a wide date": "{{ 0 | date: '%999999999Y' }}",
    "many dates": _filled("{{ 0 | date: '%c%c%c%c' }}"),
    # the lexer and the parser
    "a megabyte": "{{ x }}" * 150_000,
    "open outputs": _filled("{{"),
    "open tags": _filled("{%"),
    "open outputs in a comment": _filled("{{", "{% comment %}", "{% endcomment %}"),
    "open tags in a comment": _filled("{% ", "{% comment %}", "{% endcomment %}"),
    "comments within comments": _filled("{% comment %}"),
    "open raws": _filled("{% raw %}"),
    "open raws in a comment": _filled("{% raw %}", "{% comment %}", "{% endcomment %}"),
    "open docs": _filled("{% doc %}"),
    "a tag of spaces": "{% " + " " * 90_000 + "%}",
    "an output of spaces": "{{ " + " " * 90_000 + "}}",
    "tags of spaces": _filled("{% if" + " " * 900 + "x %}"),
    "tags with runs of spaces": _filled("{% if x" + (" " * 99 + "y") * 9 + " %}"),
    "a liquid tag of spaces": "{% liquid\n" + ("echo a" + " " * 980 + "b\n") * 90 + "%}",
    "a liquid tag with runs of spaces": "{% liquid\n" + ("echo a" + (" " * 99 + "|") * 9 + "\n") * 90 + "%}",
    "a liquid tag of many lines": _filled("echo 1\n", "{% liquid\n", "%}"),
    "brackets": _filled("{{ " + "(" * 990 + " }}"),
    "quoted brackets": _filled("{{ " + '["' * 490 + " }}"),
    "open quotes": _filled('{{ " }}'),
    "paths in paths": _filled("{{ " + "a[" * 320 + "b" + "]" * 320 + " }}"),
    "conditions": _filled("{% if " + "true and " * 100 + "true %}{% endif %}"),
    "ifs within ifs": _filled("{% if true %}"),
    "pipes": _filled("{{ 1" + "|abs" * 240 + " }}"),
    "many small outputs": _filled("{{1}}"),
    "many small literals": _filled("x{{1}}"),
    "many small tags": _filled("{%if 1%}{%endif%}"),
    "many elsifs": "{% if nil %}" + _filled("{%elsif nil%}", size=90_000) + "{% endif %}",
    "html": _BIG.replace("x", "<") + "{{ x | strip_html }}",
    "open scripts": "{% assign x = '<script><script><script><script>' %}" + "{% assign x = x | append: x %}" * 11
    + "{{ x | strip_html }}",
    "entities": _BIG.replace("x'", "&'").replace("xxxxxxxxx", "&&&&&&&&&") + "{{ x | escape_once }}",
    # what a profile may hold
    "a value that holds itself": "{{ Profile.loop }}",
    "a value that holds itself, joined": "{{ Profile.loop | join }}",
    "a value that holds itself, compared": "{% if Profile.loop == Profile.loop %}{% endif %}",
    "a small value that is huge": "{{ Profile.bomb }}",
    "a small value that is huge, sorted": "{{ Profile.bomb | sort }}",
    "a huge value": "{{ Profile.text }}",
    "a huge value, looped over": "{% for x in Profile.items %}{% endfor %}",
}  # fmt: skip


def main(name: str) -> None:
    """Render one template; print the seconds and the bytes that it took, and how it ended."""
    profile: dict[str, object] = {"text": "x" * 5_000_000, "items": list(range(1_000_000)), **_cyclic(), **_bomb()}
    source = SOURCES[name]
    MessageTemplate("{{ Event.x }}").render(event={"x": "warm"})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.process_time()
    try:
        MessageTemplate(source).render(event={}, profile=profile)
        ended = "rendered"
    except MessageError as error:
        ended = f"MessageError: {error}"[:200]
    took = time.process_time() - begun
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    print(json.dumps({"seconds": took, "bytes": grown, "ended": ended}))


if __name__ == "__main__":
    main(*sys.argv[1:])
