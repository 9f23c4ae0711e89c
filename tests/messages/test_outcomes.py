import threading
from collections.abc import Iterator, Mapping

from partner_vouchers.errors import InvalidInput, MessageError
from partner_vouchers.messages import Failed, MessageTemplate, Recipient, Rendered, Skipped

CODE = "PM500FF-2024"


def test_aborted_message_is_none() -> None:
    template = MessageTemplate("Hi {% if Profile.muted %}{% abort %}{% endif %}there")

    assert template.render(event={}, profile={"muted": True}) is None
    assert template.render(event={}, profile={"muted": False}) == "Hi there"


def test_abort_works_wherever_it_stands() -> None:
    places = [
        "{% abort %}",
        "{%- abort 'why' -%}",
        "{% for i in (1..3) %}{% abort %}{% endfor %}",
        "{% tablerow i in (1..3) %}{% abort %}{% endtablerow %}",
        "{% capture x %}{% abort %}{% endcapture %}",
        "{% case 1 %}{% when 1 %}{% abort %}{% endcase %}",
        "{% unless false %}{% abort %}{% endunless %}",
        "{% ifchanged %}{% abort %}{% endifchanged %}",
        "{% liquid\n abort 'why'\n%}",
        "{% liquid\n abort\n%}{{ Event.missing }}",
    ]
    for source in places:
        assert MessageTemplate(source).render(event={}) is None, source
    for source in ("{% if false %}{% abort %}{% endif %}", "{% comment %}{% abort %}{% endcomment %}"):
        assert MessageTemplate(source).render(event={}) == "", source
    assert MessageTemplate("{% raw %}{% abort %}{% endraw %}").render(event={}) == "{% abort %}"


def test_one_failing_message_does_not_stop_the_others() -> None:
    template = MessageTemplate(
        "{% if Profile.code == '' %}{% abort 'no code' %}{% endif %}"
        "Hi {{ Profile.name }}: {{ Event.voucherCode }}"
    )
    recipients = [
        Recipient(user_id="u1", event={"voucherCode": CODE}, profile={"name": "Asha", "code": CODE}),
        Recipient(user_id="u2", event={"voucherCode": CODE}, profile={"name": "Ravi", "code": ""}),
        Recipient(user_id="u3", event={"voucherCode": CODE}, profile={"code": CODE}),
        Recipient(user_id="u4", event=42, profile={"name": "Meera", "code": CODE}),  # type: ignore[arg-type]
        Recipient(user_id="u5", event={"voucherCode": CODE}, profile={"name": "Tom", "code": CODE}),
    ]

    first, second, third, fourth, fifth = template.render_many(recipients)

    assert first == Rendered("u1", f"Hi Asha: {CODE}")
    assert second == Skipped("u2", "no code")
    assert isinstance(third, Failed)
    assert isinstance(third.error, MessageError)
    assert third.error.reason.startswith("Profile.name is missing")
    assert isinstance(fourth, Failed)
    assert isinstance(fourth.error, InvalidInput)
    assert fifth == Rendered("u5", f"Hi Tom: {CODE}")


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


def test_outcomes_and_recipients_hide_codes() -> None:
    recipient = Recipient(user_id="u1", event={"voucherCode": CODE}, profile={"code": CODE})
    (outcome,) = MessageTemplate("{{ Event.voucherCode }}").render_many([recipient])

    assert outcome == Rendered("u1", CODE)
    assert CODE not in repr(outcome) + repr(recipient)


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
