import traceback
from collections.abc import Mapping

import pytest

from partner_vouchers.errors import (
    LinkedContentError,
    LinkedContentFailed,
    MessageError,
    NoLinkedContent,
    ParameterMissing,
    PartnerVouchersError,
    StorageBusy,
)
from partner_vouchers.messages import Failed, MessageTemplate, Recipient, Rendered, Skipped

CODE = "PM500FF-2024"
NAME = "New Reactivation Voucher"


class Source:
    """A source that counts how often it is asked."""

    def __init__(self, answer: object = None, *, mandatory: frozenset[str] = frozenset()) -> None:
        self.parameters = mandatory
        self.asked: list[dict[str, str]] = []
        self._answer = {"code": CODE} if answer is None else answer

    def fetch(self, parameters: Mapping[str, str]) -> Mapping[str, object]:
        self.asked.append(dict(parameters))
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer  # type: ignore[return-value]


def render(source: str, linked: Source, **parameters: str) -> str | None:
    template = MessageTemplate(source)
    return template.render(event={}, profile={"vip": False}, linked={NAME: linked}, parameters=parameters)


@pytest.mark.parametrize(
    "source",
    [
        f'{{{{ Linked["{NAME}"].code | default: "contact us" }}}}',
        f'{{{{Linked["{NAME}"].code}}}}',
        f"{{{{ Linked['{NAME}']['code'] }}}}",
        f'{{% assign v = Linked["{NAME}"] %}}{{{{ v.code }}}}',
        f'{{% assign name = "{NAME}" %}}{{{{ Linked[name].code }}}}',
    ],
)
def test_linked_content(source: str) -> None:
    assert render(source, Source()) == CODE


@pytest.mark.parametrize(
    "source",
    [
        f'{{% if Profile.vip %}}{{{{ Linked["{NAME}"].code }}}}{{% endif %}}',
        f'{{% comment %}}{{{{ Linked["{NAME}"].code }}}}{{% endcomment %}}',
        f'{{% raw %}}{{{{ Linked["{NAME}"].code }}}}{{% endraw %}}',
        f'{{% abort %}}{{{{ Linked["{NAME}"].code }}}}',
        f'{{% for i in Profile.none %}}{{{{ Linked["{NAME}"].code }}}}{{% endfor %}}',
    ],
)
def test_a_branch_not_taken_takes_no_code(source: str) -> None:
    linked = Source()
    MessageTemplate(source).render(event={}, profile={"vip": False, "none": []}, linked={NAME: linked})

    assert linked.asked == []


def test_nothing_but_a_name_leads_to_a_source() -> None:
    linked = Source()

    assert render("{{ Linked }}{% for x in Linked %}{{ x }}{% endfor %}", linked) == ""
    for source in ("{{ Linked.size }}", "{{ Linked.first }}", "{{ Linked[0] }}", "{{ Linked.keys }}"):
        with pytest.raises(MessageError):
            render(source, linked)
    assert linked.asked == []


def test_second_look_in_one_message_gives_the_same_object() -> None:
    linked = Source()
    look = f'{{{{ Linked["{NAME}"].code }}}}'

    assert render(f"{look} {look} {{% if true %}}{look}{{% endif %}}", linked) == f"{CODE} {CODE} {CODE}"
    assert len(linked.asked) == 1
    render(look, linked)
    assert len(linked.asked) == 2


def test_default_stands_in_where_there_is_no_code() -> None:
    nothing = Source(NoLinkedContent(reason="no code is left"))
    look = f'{{{{ Linked["{NAME}"].code | default: "contact us" }}}}'

    assert render(look + look, nothing) == "contact uscontact us"
    assert len(nothing.asked) == 1


def test_no_code_and_no_default_is_an_error_that_says_so() -> None:
    with pytest.raises(MessageError) as caught:
        render(f'\n{{{{ Linked["{NAME}"].code }}}}', Source(NoLinkedContent(reason="no code is left")))

    assert caught.value.reason == (
        f"linked content '{NAME}' has nothing for this user (no code is left); add `| default:` with a replacement"
    )
    assert caught.value.line == 2


def test_missing_property_of_linked_content_is_not_mistaken_for_no_code() -> None:
    with pytest.raises(MessageError, match="is missing; correct the name"):
        render(f'{{{{ Linked["{NAME}"].kode }}}}', Source())


def test_template_may_skip_the_message_where_there_is_no_code() -> None:
    template = MessageTemplate(
        f'{{% assign code = Linked["{NAME}"].code | default: "" %}}'
        '{% if code == "" %}{% abort "no code" %}{% endif %}Hi: {{ code }}'
    )
    users = [Recipient(user_id="u1"), Recipient(user_id="u2", parameters={"customersourceid": "c2"})]

    sold_out = Source(NoLinkedContent(reason="no code is left"))
    assert list(template.render_many(users, linked={NAME: sold_out})) == [
        Skipped("u1", "no code"),
        Skipped("u2", "no code"),
    ]
    source = Source()
    assert list(template.render_many(users, linked={NAME: source})) == [
        Rendered("u1", f"Hi: {CODE}"),
        Rendered("u2", f"Hi: {CODE}"),
    ]
    assert source.asked == [{"user_id": "u1"}, {"user_id": "u2", "customersourceid": "c2"}]


@pytest.mark.parametrize(
    "cause,said",
    [
        (StorageBusy(reason="the storage is busy; call again"), "the storage is busy; call again"),
        (LinkedContentError(reason="out of order"), "out of order"),
    ],
)
def test_failure_names_the_source_and_carries_the_cause(cause: PartnerVouchersError, said: str) -> None:
    with pytest.raises(LinkedContentFailed) as caught:
        render(f'\n{{{{ Linked["{NAME}"].code | default: "contact us" }}}}', Source(cause))

    error = caught.value
    assert isinstance(error, MessageError)
    assert (error.name, error.cause, error.line) == (NAME, cause, 2)
    assert error.reason == f"linked content '{NAME}': {said}"


@pytest.mark.parametrize(
    "answer", [RuntimeError(f"{CODE} with app-token"), KeyError(CODE), RecursionError(), MemoryError()]
)
def test_what_a_source_raises_of_its_own_is_not_quoted(answer: Exception) -> None:
    with pytest.raises(LinkedContentFailed) as caught:
        render(f'{{{{ Linked["{NAME}"].code | default: "contact us" }}}}', Source(answer))

    assert caught.value.cause is None
    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert CODE not in told
    assert "app-token" not in told


@pytest.mark.parametrize("answer", [CODE, 42, [CODE]])
def test_source_that_returns_no_object(answer: object) -> None:
    with pytest.raises(LinkedContentFailed, match="returned no mapping") as caught:
        render(f'{{{{ Linked["{NAME}"].code }}}}', Source(answer))
    assert CODE not in str(caught.value)


def test_mandatory_parameters_are_checked_before_the_source_is_asked() -> None:
    source = Source(mandatory=frozenset({"user_id", "customersourceid"}))
    look = f'{{{{ Linked["{NAME}"].code | default: "contact us" }}}}'

    for given, missing in [
        ({}, "customersourceid"),
        ({"customersourceid": "c1"}, "user_id"),
        ({"customersourceid": "", "user_id": "u1"}, "customersourceid"),
    ]:
        with pytest.raises(LinkedContentFailed) as caught:
            render(look, source, **given)
        assert isinstance(caught.value.cause, ParameterMissing)
        assert caught.value.cause.parameter == missing
    assert source.asked == []

    assert render(look, source, customersourceid="c1", user_id="u1", other="x") == CODE


def test_linked_content_that_was_not_passed_is_an_error_whatever_the_default() -> None:
    with pytest.raises(MessageError) as caught:
        render('{{ Linked["New Reactivation Vouchr"].code | default: "contact us" }}', Source())
    assert caught.value.reason == (
        f"there is no linked content 'New Reactivation Vouchr'; did you mean '{NAME}'?"
    )
    with pytest.raises(MessageError, match="pass it in `linked=`"):
        MessageTemplate('{{ Linked["Anything"].code }}').render(event={})


def test_a_name_that_is_a_value_is_not_told() -> None:
    with pytest.raises(MessageError) as caught:
        MessageTemplate("{{ Linked[Event.voucherCode].code }}").render(event={"voucherCode": CODE})
    assert CODE not in str(caught.value)


def test_failing_source_fails_its_message_only() -> None:
    template = MessageTemplate(
        f'{{% if Profile.wants %}}{{{{ Linked["{NAME}"].code }}}}{{% else %}}no code{{% endif %}}'
    )
    users = [
        Recipient(user_id="u1", profile={"wants": True}),
        Recipient(user_id="u2", profile={"wants": False}),
    ]

    failed, rendered = template.render_many(users, linked={NAME: Source(StorageBusy(reason="busy"))})

    assert isinstance(failed, Failed)
    assert isinstance(failed.error, LinkedContentFailed)
    assert rendered == Rendered("u2", "no code")


def test_linked_values_are_escaped_in_html() -> None:
    template = MessageTemplate(f'{{{{ Linked["{NAME}"].code }}}}', escape="html")

    assert template.render(event={}, linked={NAME: Source({"code": "<b>"})}) == "&lt;b&gt;"
