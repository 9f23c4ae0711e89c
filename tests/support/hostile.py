"""Templates written to take time or memory. Run as a program, it checks and renders each, and tells what that took."""

from __future__ import annotations

import gc
import json
import os
import resource
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

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


def _big(character: str) -> str:
    """Return a template's beginning that makes a variable `x` of 40,960 characters."""
    return f"{{% assign x = '{character * 20}' %}}" + "{% assign x = x | append: x %}" * 11


def _loop(body: str, variable: str = "i") -> str:
    return f"{{% for {variable} in (1..9999) %}}{body}{{% endfor %}}"


_X = _big("x")

SOURCES: dict[str, str] = {
    # more and more rounds
    "loops within one another": _loop(_loop(_loop("x", "c"), "b"), "a"),
    "loops one after the other": _filled(_loop("{{ i }}")),
    "loops that write nothing": _filled(_loop("{% if i == 0 %}{% endif %}")),
    "a long loop body": _loop(_filled("{{ i }}", size=99_000)),
    "a long silent loop body": _loop(_filled("{% if i %}{% endif %}", size=99_000)),
    "a loop body full of conditions": _loop("{% if " + "i == 0 or " * 90 + "i %}{% endif %}"),
    "a loop body full of filters": _loop("{{ i" + "|abs" * 200 + " }}"),
    "a loop body full of cases": _loop("{% case i %}" + "{% when 0 %}" * 5000 + "{% endcase %}"),
    "a loop body full of cycles": _loop("{% cycle " + "i, " * 300 + "i %}"),
    "table rows": "{% tablerow i in (1..9999) cols: 1 %}{% tablerow j in (1..99) %}x{% endtablerow %}{% endtablerow %}",
    "a huge limit": "{% for i in (1..9999) limit: 99999999999999999999 %}" + _loop("x") + "{% endfor %}",
    "offsets that go on": _filled("{% for i in (1..9999) offset: 9998 %}{% endfor %}"),
    "loops read backwards": _filled("{% for i in (1..9999) reversed limit: 1 %}{% endfor %}"),
    "loops with a break": _filled(_loop("{% break %}")),
    # ranges
    "a range in a loop": "{% for i in (1..100000000000) %}{% endfor %}",
    "a range read backwards": "{% for i in (1..1000000000) reversed limit: 1 %}{% endfor %}",
    "a range joined": "{{ (1..3000000) | join }}",
    "a range joined often": _filled("{{ (1..9999) | join }}"),
    "a range beyond machine words": "{{ (1..99999999999999999999999999) | size }}",
    "a range searched": "{% if (1..3000000000) contains 'x' %}{% endif %}",
    "a range kept and searched": "{% assign r = (1..9999) %}"
    + _filled("{% if r contains 'x' %}{% endif %}", size=90_000),
    "a range reversed": "{{ (1..300000000) | reverse | first }}",
    "a range sorted": "{{ (1..300000000) | sort | first }}",
    "a range sliced": "{{ (1..300000000) | slice: 0, 300000000 | size }}",
    "a range counted uniquely": "{{ (1..9999) | uniq | size }}",
    # growing values
    "replace chains": "{% assign x = 'a' %}"
    + "{% assign x = x | replace: 'a', 'aaaaaaaaaa' %}" * 30
    + "{{ x }}",
    "a replace chain in one tag": "{{ 'a'" + " | replace: 'a', 'aaaaaaaaaa'" * 30 + " }}",
    "replace of nothing": _X + "{{ x | replace: '', x }}",
    "replace of each character": _X + "{{ x | replace: 'x', x }}",
    "append doubled": "{% assign x = 'x' %}" + _loop("{% assign x = x | append: x %}"),
    "prepend doubled": "{% assign x = 'x' %}" + _loop("{% assign x = x | prepend: x %}"),
    "capture doubled": "{% assign x = 'x' %}" + _loop("{% capture x %}{{ x }}{{ x }}{% endcapture %}"),
    "captures within captures": _X + "{% capture a %}" * 29 + "{{ x }}" + "{% endcapture %}{{ a }}" * 29,
    "a big value written often": _X + _filled("{{ x }}", size=90_000),
    "a big value captured often": _X + _loop("{% capture y %}{{ x }}{% endcapture %}"),
    "a big value compared often": _X
    + "{% assign y = x | append: '' %}"
    + _loop("{% if x == y %}{% endif %}"),
    "a big value searched often": _X + _loop("{% if x contains 'xxxxxxy' %}{% endif %}"),
    "a split joined": _X + "{{ x | split: '' | join: x }}",
    "splits kept": _X + "".join(f"{{% assign v{i} = x | split: '' %}}" for i in range(2000)),
    "many variables": "".join(f"{{%assign v{i}={i}%}}" for i in range(4000)),
    "lists put together": "{% assign x = 'a,b' | split: ',' %}" + _loop("{% assign x = x | concat: x %}"),
    "escaping again and again": "{{ '<' " + "| escape " * 100 + "}}",
    "encoding again and again": "{{ '%' " + "| url_encode " * 70 + "}}",
    "base64 again and again": "{{ 'x' " + "| base64_encode " * 60 + "}}",
    "line breaks": _X + "{{ x | split: '' | join: '\n' | newline_to_br | newline_to_br }}",
    "a list compared with itself": _X
    + "{% assign a = x | split: '' %}{% assign b = x | split: '' %}"
    + _loop("{% if a == b %}{% endif %}"),
    "unique elements": f"{{% assign a = '{''.join(chr(0x4E00 + i) for i in range(900))}' | split: '' %}}"
    + "{{ a | uniq | size }}" * 500,
    "cycles of a big value": _X + _loop("{% cycle x, x %}"),
    "changes of a big value": _X + _loop("{% ifchanged %}{{ x }}{{ i }}{% endifchanged %}"),
    "replace by keyword": _X + "{{ x | replace: seq: 'x', sub: x }}",
    "cycles remembered": _loop("{% cycle i, '" + "\U000e0001" * 900 + "' %}"),
    "long paths": _loop(("{{ Profile" + ".self" * 190 + ".name }}") * 90),
    # numbers
    "times chains": "{% assign n = 9 %}" + "{% assign n = n | times: n %}" * 100 + "{{ n }}",
    "times in a loop": "{% assign n = 99999999999 %}" + _loop("{% assign n = n | times: n %}") + "{{ n }}",
    "a number of many digits": "{{ " + "9" * 980 + " | times: 2 }}",
    "a text of many digits": _big("9") + "{{ x | plus: 1 }}",
    "a huge exponent": "{{ '1e999999999' | plus: 1 | ceil }}",
    "a sum of huge exponents": "{{ '1e999999999,1e999999999' | split: ',' | sum | round }}",
    "a decimal with a huge exponent": "{% for i in (1..Profile.decimal) %}{% endfor %}",
    "a limit with a huge exponent": "{% for i in (1..5) limit: Profile.decimal %}{% endfor %}",
    "columns with a huge exponent": "{% tablerow i in (1..5) cols: Profile.decimals[0] %}{% endtablerow %}",
    "rounding to many places": "{{ 1.5 | round: 99999999999 }}",
    "counting down": _filled("{% decrement n %}"),
    # dates
    "a wide date": "{{ 0 | date: '%999999999Y' }}",
    "many dates": _filled("{{ 0 | date: '%c%c%c%c' }}"),
    "dates in a loop": _loop("{{ 0 | date: '" + "%c" * 50 + "' }}"),
    "a date of many flags": "{{ 0 | date: '%" + "-" * 900 + "' }}",
    "a date of long digits": "{{ '" + "9" * 900 + "' | date: '%c' }}",
    # what linked content and variables that are computed later do
    "variables computed later": "".join(f"{{%assign v{i}=Linked.x%}}" for i in range(4000)),
    "a variable computed from itself": "{% assign x = Linked.x %}"
    + _loop("{% assign x = x | append: 'x' %}"),
    "captures computed later": "{% capture x %}{{ Linked.x }}{% endcapture %}"
    + _loop("{% capture x %}{{ x }}{{ x }}{% endcapture %}"),
    # objects and lists looked through in Python
    "sums in a loop": _loop("{{ (1..9999) | sum }}"),
    "sorts in a loop": _loop("{{ (1..999) | sort_natural | size }}"),
    "an object printed often": _loop("{{ Profile.orders }}"),
    "an object joined often": _loop("{{ Profile.orders | join: Profile.orders }}"),
    "a list searched for true": _loop("{% if Profile.orders contains true %}{% endif %}"),
    "rounding in a loop": _loop("{{ '1e200' | round: 200 | plus: 0.1 }}"),
    "a tiny number printed": "{{ Profile.tiny }}{{ '1e-999999999' | round: 999999999 }}",
    "a tiny number subtracted": "{{ '1e255' | minus: '1e-255' | times: '1e255' | round: 256 }}",
    # the lexer and the parser
    "a megabyte": "{{ x }}" * 150_000,
    "open outputs": _filled("{{"),
    "open tags": _filled("{%"),
    "open outputs in a comment": _filled("{{", "{% comment %}", "{% endcomment %}"),
    "open tags in a comment": _filled("{% ", "{% comment %}", "{% endcomment %}"),
    "comments within comments": _filled("{% comment %}"),
    "open raws": _filled("{% raw %}"),
    "open raws in a comment": _filled("{% raw %}", "{% comment %}", "{% endcomment %}"),
    "raws in a comment": _filled("{% raw %}{% endraw %}", "{% comment %}", "{% endcomment %}"),
    "open raws and comments": _filled("{% comment %}{% raw %}", tail="{% endcomment %}"),
    "tags of spaces in a comment": _filled("{% " + " " * 90, "{% comment %}", "{% endcomment %}"),
    "a raw of spaces in a comment": "{% comment %}{% raw" + " " * 90_000 + "{% endcomment %}",
    "a name of many dots": "{{ " + "a." * 480 + "\u093e }}",
    "a name of many marks": "{{ Profile." + "\u093e" * 900 + " }}",
    "elses": _filled("{% else x %}", "{% if 1 %}", "{% endif %}"),
    "defaults that come too late": _filled("{{ Profile.x|upcase|default:1 }}"),
    "open docs": _filled("{% doc %}"),
    "a tag of spaces": "{% " + " " * 90_000 + "%}",
    "an output of spaces": "{{ " + " " * 90_000 + "}}",
    "tags of spaces": _filled("{% echo" + " " * 900 + "1 %}"),
    "tags with runs of spaces": _filled("{% echo 1" + (" " * 99 + "|abs") * 9 + " %}"),
    "a liquid tag of spaces": "{% liquid\n" + ("echo a" + " " * 980 + "b\n") * 90 + "%}",
    "a liquid tag with runs of spaces": "{% liquid\n"
    + ("echo 1" + (" " * 99 + "|abs") * 9 + "\n") * 90
    + "%}",
    "a liquid tag of many lines": _filled("echo 1\n", "{% liquid\n", "%}"),
    "brackets": _filled("{{ " + "(" * 990 + " }}"),
    "quoted brackets": _filled("{{ " + '["' * 490 + " }}"),
    "open quotes": _filled('{{ " }}'),
    "paths in paths": _filled("{{ " + "a[" * 320 + "b" + "]" * 320 + " }}"),
    "paths in paths, less deep": _filled("{{ " + ("a[" * 4 + "b" + "]" * 4 + "[0]") + "|default:1 }}"),
    "conditions": _filled("{% if " + "true and " * 100 + "true %}{% endif %}"),
    "ifs within ifs": _filled("{% if true %}"),
    "pipes": _filled("{{ 1" + "|abs" * 240 + " }}"),
    "many small outputs": _filled("{{1}}"),
    "many small literals": _filled("x{{1}}"),
    "many small tags": _filled("{%if 1%}{%endif%}"),
    "many elsifs": "{% if nil %}" + _filled("{%elsif nil%}", size=90_000) + "{% endif %}",
    "html": _big("<") + "{{ x | strip_html }}",
    "open scripts": _big("<script>") + "{{ x | strip_html }}",
    "entities": _big("&") + "{{ x | escape_once }}",
    "many unknown names": "".join(f"{{{{Event.x{i}}}}}" for i in range(6000)),
    # what a profile may hold
    "a value that holds itself": "{{ Profile.loop }}",
    "a value that holds itself, joined": "{{ Profile.loop | join }}",
    "a value that holds itself, compared": "{% if Profile.loop == Profile.loop %}{% endif %}",
    "a small value that is huge": "{{ Profile.bomb }}",
    "a small value that is huge, sorted": "{{ Profile.bomb | sort }}",
    "a huge value": "{{ Profile.text }}",
    "a huge value, looped over": "{% for x in Profile.items %}{% endfor %}",
}


HARMLESS = frozenset(
    {
        "a number of many digits", "a range counted uniquely", "a wide date", "conditions", "counting down",
        "encoding again and again", "escaping again and again", "many dates", "many elsifs", "many small literals",
        "many small outputs", "many small tags", "many variables", "open outputs in a comment", "open scripts",
        "open raws in a comment", "open tags in a comment", "pipes", "rounding to many places", "tags of spaces",
        "a liquid tag of many lines", "a liquid tag with runs of spaces", "tags with runs of spaces", "html",
        "paths in paths, less deep", "variables computed later", "rounding in a loop", "raws in a comment",
        "tags of spaces in a comment", "a raw of spaces in a comment", "elses",
    }
)  # fmt: skip
"""Those that are harmless by now, so that they may as well be rendered."""


class Run(NamedTuple):
    """What one template took."""

    name: str
    seconds: float
    megabytes: float
    ended: str


def run_all(seconds: int, megabytes: int, step: int = 1) -> list[Run]:
    """Render every template, or each of so many, in a process of its own that may take so much, and no more."""
    profile: dict[str, object] = {
        "text": "x" * 5_000_000,
        "items": list(range(1_000_000)),
        "orders": [{"total": number, "paid": None} for number in range(300)],
        "tiny": Decimal("1e-999999"),
        "decimal": Decimal("1e999999"),
        "decimals": [Decimal("1e999999")],
        **_cyclic(),
        **_bomb(),
    }
    profile.update(self=profile, name="x")
    MessageTemplate("{{ Event.x | upcase }}").render(event={"x": "warm"})
    gc.collect()
    return [
        _in_a_child(name, source, profile, seconds, megabytes)
        for name, source in list(SOURCES.items())[::step]
    ]


def _in_a_child(name: str, source: str, profile: dict[str, object], seconds: int, megabytes: int) -> Run:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + megabytes * 1_000_000, resource.RLIM_INFINITY))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
        with os.fdopen(writing, "w") as result:
            json.dump(_render(name, source, profile), result)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as result:
        told = result.read()
    _, status = os.waitpid(child, 0)
    return Run(*json.loads(told)) if status == 0 else Run(name, seconds, megabytes, f"killed ({status})")


def _render(name: str, source: str, profile: dict[str, object]) -> Run:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.process_time()
    try:
        template = MessageTemplate(source)
        template.check(event=["voucherCode"], profile=["name"], linked=["Voucher"])
        template.render(event={}, profile=profile)
        ended = "rendered"
    except MessageError as error:
        ended = f"MessageError: {error.reason}"[:200]
    except BaseException as error:  # noqa: BLE001 - to be told
        ended = f"{type(error).__name__}: {error}"[:200]
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return Run(name, time.process_time() - begun, grown / 1000, ended)


def main(seconds: str, megabytes: str, step: str = "1") -> None:
    """Print what each template took."""
    print(json.dumps(run_all(int(seconds), int(megabytes), int(step))))


if __name__ == "__main__":
    main(*sys.argv[1:])
