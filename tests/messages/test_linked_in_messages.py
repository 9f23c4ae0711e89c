"""How a message looks at linked content, and what becomes of its failures."""

import traceback
from typing import Any

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
from tests.messages.sources import Source

CODE = "PM500FF-2024"
FOUND = {"code": CODE}
NAME = "New Reactivation Voucher"
LOOK = f'{{{{ Linked["{NAME}"].code }}}}'
OR_CONTACT = f'{{{{ Linked["{NAME}"].code | default: "contact us" }}}}'


def nothing() -> Source:
    return Source(NoLinkedContent(reason="no code is left"))


def render(source: str, linked: Source, **parameters: str) -> str | None:
    profile = {"vip": False, "none": [], "name": NAME}
    return MessageTemplate(source).render(
        event={}, profile=profile, linked={NAME: linked}, parameters=parameters
    )


def failing(source: str, linked: Source, **parameters: str) -> LinkedContentFailed:
    with pytest.raises(LinkedContentFailed) as caught:
        render(source, linked, **parameters)
    return caught.value


@pytest.mark.parametrize(
    "source",
    [
        OR_CONTACT,
        LOOK.replace(" ", "", 1),
        f"{{{{ Linked['{NAME}']['code'] }}}}",
        f'{{% assign v = Linked["{NAME}"] %}}{{{{ v.code }}}}',
        "{{ Linked[Profile.name].code }}",
        f"{{% capture v %}}{LOOK}{{% endcapture %}}{{% if v == '{CODE}' and true %}}{LOOK}{{% endif %}}",
    ],
)
def test_linked_content_is_fetched_once_for_a_message(source: str) -> None:
    linked = Source(FOUND)
    assert render(source, linked) == CODE
    assert len(linked.asked) == 1
    render(source, linked)
    assert len(linked.asked) == 2


def test_default_stands_in_where_there_is_no_code() -> None:
    source = nothing()
    assert render(OR_CONTACT * 2, source) == "contact uscontact us"
    assert len(source.asked) == 1


def test_nothing_but_a_name_leads_to_a_source() -> None:
    linked = Source(FOUND)
    render("{{ Linked }}{% for x in Linked %}{{ x }}{% endfor %}", linked)
    assert render(f"{{% abort %}}{LOOK}", linked) is None
    for wrong in ("{{ Linked.size }}", "{{ Linked.first }}", "{{ Linked[0] }}", "{{ Linked.keys }}"):
        with pytest.raises(MessageError):
            render(wrong, linked)
    assert linked.asked == []


@pytest.mark.parametrize(
    "source,linked,reason",
    [
        (
            LOOK,
            nothing(),
            f"linked content '{NAME}' has nothing for this user (no code is left); add `| default:` with a replacement",
        ),
        (
            LOOK.replace("code", "kode"),
            Source(FOUND),
            f'Linked["{NAME}"].kode is missing; correct the name, or add `| default:` with a replacement',
        ),
        (
            OR_CONTACT.replace("Voucher", "Vouchr"),
            Source(FOUND),
            f"there is no linked content 'New Reactivation Vouchr'; did you mean '{NAME}'?",
        ),
        (
            '{{ Linked["Anything else"].code }}',
            Source(FOUND),
            "there is no linked content 'Anything else'; pass it in `linked=`",
        ),
    ],
)
def test_what_is_not_there_is_told(source: str, linked: Source, reason: str) -> None:
    with pytest.raises(MessageError) as caught:
        render("\n" + source, linked)
    assert (caught.value.reason, caught.value.line) == (reason, 2)


def test_a_name_that_is_a_value_is_not_told() -> None:
    with pytest.raises(MessageError) as caught:
        MessageTemplate("{{ Linked[Event.voucherCode].code }}").render(event={"voucherCode": CODE})
    assert CODE not in str(caught.value)


@pytest.mark.parametrize(
    "cause,said",
    [
        (StorageBusy(reason="the storage is busy; call again"), "the storage is busy; call again"),
        (LinkedContentError(reason="out of order"), "out of order"),
    ],
)
def test_failure_names_the_source_and_carries_the_cause(cause: PartnerVouchersError, said: str) -> None:
    error = failing("\n" + OR_CONTACT, Source(cause))
    assert isinstance(error, MessageError)
    assert (error.name, error.cause, error.line) == (NAME, cause, 2)
    assert error.reason == f"linked content '{NAME}': {said}"


@pytest.mark.parametrize(
    "answer",
    [
        RuntimeError(f"{CODE} with app-token"),
        KeyError(CODE),
        RecursionError(),
        MemoryError(),
        CODE,
        42,
        [CODE],
    ],
)
def test_what_a_source_does_on_its_own_is_not_quoted(answer: Any) -> None:
    error = failing(OR_CONTACT, Source(answer))
    if isinstance(answer, Exception):
        assert error.cause is None
    else:
        assert "returned no mapping" in str(error)
    told = "".join(traceback.format_exception(error)) + repr(error)
    assert CODE not in told
    assert "app-token" not in told


def test_mandatory_parameters_are_checked_before_the_source_is_asked() -> None:
    source = Source(FOUND, mandatory=frozenset({"user_id", "customersourceid"}))
    given: list[tuple[dict[str, str], str]] = [
        ({}, "customersourceid"),
        ({"customersourceid": "c1"}, "user_id"),
        ({"customersourceid": "", "user_id": "u1"}, "customersourceid"),
    ]
    for parameters, missing in given:
        cause = failing(OR_CONTACT, source, **parameters).cause
        assert isinstance(cause, ParameterMissing)
        assert cause.parameter == missing
    assert source.asked == []
    assert render(OR_CONTACT, source, customersourceid="c1", user_id="u1", other="x") == CODE


def test_linked_values_are_escaped_in_html() -> None:
    template = MessageTemplate(LOOK, escape="html")
    assert template.render(event={}, linked={NAME: Source({"code": "<b>"})}) == "&lt;b&gt;"


# --- messages to many users --------------------------------------------------------------------------------------


def test_template_may_skip_the_message_where_there_is_no_code() -> None:
    template = MessageTemplate(
        f'{{% assign code = Linked["{NAME}"].code | default: "" %}}'
        '{% if code == "" %}{% abort "no code" %}{% endif %}Hi: {{ code }}'
    )
    users = [Recipient(user_id="u1"), Recipient(user_id="u2", parameters={"customersourceid": "c2"})]
    skipped, source = template.render_many(users, linked={NAME: nothing()}), Source(FOUND)
    assert list(skipped) == [Skipped("u1", "no code"), Skipped("u2", "no code")]
    rendered = template.render_many(users, linked={NAME: source})
    assert list(rendered) == [Rendered("u1", f"Hi: {CODE}"), Rendered("u2", f"Hi: {CODE}")]
    assert source.asked == [{"user_id": "u1"}, {"user_id": "u2", "customersourceid": "c2"}]


def test_failing_source_fails_its_message_only() -> None:
    template = MessageTemplate(f"{{% if Profile.wants %}}{LOOK}{{% else %}}no code{{% endif %}}")
    users = [Recipient(user_id=f"u{wants:d}", profile={"wants": wants}) for wants in (True, False)]
    failed, rendered = template.render_many(users, linked={NAME: Source(StorageBusy(reason="busy"))})
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, LinkedContentFailed)
    assert rendered == Rendered("u0", "no code")
