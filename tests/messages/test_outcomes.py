import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from partner_vouchers.errors import InvalidInput, MessageError
from partner_vouchers.messages import Failed, MessageTemplate, Recipient, Rendered, Skipped

CODE = "PM500FF-2024"


@pytest.mark.parametrize(
    "source,message",
    [
        ("{% abort %}", None),
        ("{%- abort 'why' -%}", None),
        ("Hi {% if Profile.muted %}{% abort %}{% endif %}there", None),
        ("{% for i in (1..3) %}{% abort %}{% endfor %}", None),
        ("{% tablerow i in (1..3) %}{% abort %}{% endtablerow %}", None),
        ("{% capture x %}{% abort %}{% endcapture %}", None),
        ("{% case 1 %}{% when 1 %}{% abort %}{% endcase %}", None),
        ("{% unless false %}{% abort %}{% endunless %}", None),
        ("{% ifchanged %}{% abort %}{% endifchanged %}", None),
        ("{% liquid\n abort 'why'\n%}", None),
        ("{% liquid\n abort\n%}{{ Event.missing }}", None),
        ("Hi {% if Profile.loud %}{% abort %}{% endif %}there", "Hi there"),
        ("{% comment %}{% abort %}{% endcomment %}", ""),
        ("{% raw %}{% abort %}{% endraw %}", "{% abort %}"),
    ],
)
def test_an_aborted_message_is_none(source: str, message: str | None) -> None:
    assert MessageTemplate(source).render(event={}, profile={"muted": True, "loud": False}) == message


def test_one_failing_message_does_not_stop_the_others() -> None:
    template = MessageTemplate(
        "{% if Profile.code == '' %}{% abort 'no code' %}{% endif %}"
        "Hi {{ Profile.name }}: {{ Event.voucherCode }}"
    )
    profiles: list[dict[str, object]] = [
        {"name": "Asha", "code": CODE}, {"name": "Ravi", "code": ""}, {"code": CODE},
        {"name": "Meera", "code": CODE}, {"name": "Tom", "code": CODE},
    ]  # fmt: skip
    events: list[Any] = [{"voucherCode": CODE}] * 3 + [42, {"voucherCode": CODE}]
    recipients = [
        Recipient(user_id=f"u{number}", event=event, profile=profile)
        for number, (event, profile) in enumerate(zip(events, profiles, strict=True), 1)
    ]
    first, second, third, fourth, fifth = template.render_many(recipients)
    assert (first, fifth) == (Rendered("u1", f"Hi Asha: {CODE}"), Rendered("u5", f"Hi Tom: {CODE}"))
    assert second == Skipped("u2", "no code")
    assert isinstance(third, Failed)
    assert isinstance(third.error, MessageError)
    assert third.error.reason.startswith("Profile.name is missing")
    assert isinstance(fourth, Failed)
    assert isinstance(fourth.error, InvalidInput)
    # Outcomes and recipients hide codes.
    assert CODE not in repr(first) + repr(recipients)


def test_messages_are_rendered_one_by_one_as_they_are_asked_for() -> None:
    asked: list[str] = []

    def recipients() -> Iterator[Recipient]:
        for name in ("Asha", "Ravi"):
            asked.append(name)
            yield Recipient(user_id=name, profile={"name": name})

    outcomes = MessageTemplate("Hi {{ Profile.name }}").render_many(recipients())
    assert asked == []
    assert next(outcomes) == Rendered("Asha", "Hi Asha")
    assert asked == ["Asha"]


def test_threads_share_a_template() -> None:
    template = MessageTemplate(
        "{% assign x = Profile.n %}{% for i in (1..20) %}{% cycle 'a', 'b' %}{% assign x = x | plus: 1 %}{% endfor %}"
        "{% increment n %}{{ x }}"
    )
    wrong: list[str | None] = []

    def render(thread: int) -> None:
        for number in range(100):
            n = thread * 1000 + number
            message = template.render(event={}, profile={"n": n})
            if message != "ab" * 10 + f"0{n + 20}":
                wrong.append(message)

    threads = [threading.Thread(target=render, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []


def test_a_profile_may_be_any_mapping() -> None:
    class Lazy(Mapping[str, object]):
        def __getitem__(self, name: str) -> object:
            if name == "name":
                return "Asha"
            raise KeyError(name)

        def __iter__(self) -> Iterator[str]:
            raise AssertionError("nobody asks for all names")

        def __len__(self) -> int:
            return 1

    assert MessageTemplate("Hi {{ Profile.name }}").render(event={}, profile=Lazy()) == "Hi Asha"
