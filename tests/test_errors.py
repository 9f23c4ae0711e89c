from __future__ import annotations

import copy
import dataclasses
import pickle
import re
from datetime import UTC, datetime
from types import UnionType
from typing import Any, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import partner_vouchers
from partner_vouchers import errors
from partner_vouchers.errors import PartnerVouchersError, UploadRunning

ERRORS: list[type[PartnerVouchersError]] = [
    found
    for found in vars(errors).values()
    if isinstance(found, type)
    and issubclass(found, PartnerVouchersError)
    and found is not PartnerVouchersError
]

PROMISED = set(
    """
    action_not_allowed already_confirmed already_redeemed already_revoked ambiguous_code assignment_revoked
    campaign_not_linked code_may_be_known codes_exhausted commit_outcome_unknown connection_lost
    duplicate_policy_mismatch expiry_not_in_future file_already_uploaded host_transaction idempotency_conflict
    invalid_cursor invalid_event invalid_idempotency_key invalid_input invalid_partner_name invalid_tag
    limit_reached linked_content_error linked_content_failed list_distributed list_linked message_error
    naive_datetime no_active_list no_code_available no_linked_content not_a_partner_vouchers_storage
    not_distributed not_eligible not_linked not_their_code original_not_kept parameter_missing partner_exists
    reconciliation_interrupted redemption_error redemption_file_refused redemption_reverted
    reservation_expired reservation_released restock_not_allowed schema_too_new sink_unavailable
    source_unreadable stale_version storage_busy storage_error storage_forked storage_full
    storage_not_migrated storage_replaced storage_unavailable tag_taken transaction_conflict
    unknown_assignment unknown_eligibility_rule unknown_list unknown_partner unknown_redemption unknown_report
    unknown_reservation unknown_sink unknown_upload unsupported upload_interrupted upload_running
    voucherify_credentials_refused voucherify_error voucherify_not_found voucherify_nothing_to_publish
    voucherify_outcome_unknown voucherify_rate_limited voucherify_unreachable
    """.split()  # noqa: SIM905
)

TEXTS = st.text(min_size=1)
DATETIMES = st.datetimes(timezones=st.just(UTC))
KINDS: dict[type | UnionType | object, st.SearchStrategy[Any]] = {
    str: TEXTS,
    int: st.integers(),
    str | None: st.none() | TEXTS,
    int | None: st.none() | st.integers(),
    float | None: st.none() | st.floats(allow_nan=False),
    tuple[str, ...]: st.lists(TEXTS, max_size=3).map(tuple),
    tuple[tuple[str, str], ...]: st.lists(st.tuples(TEXTS, TEXTS), max_size=3).map(tuple),
    datetime: DATETIMES,
    datetime | None: st.none() | DATETIMES,
    bool: st.booleans(),
    float | None: st.none() | st.floats(allow_nan=False),
    # Errors are compared by identity, so one within another has a test of its own.
    PartnerVouchersError | None: st.none(),
}


def attributes_of(error: type[PartnerVouchersError]) -> dict[str, Any]:
    """Return the attributes of an error that carry facts, with their types."""
    hints = get_type_hints(error)
    return {field.name: hints[field.name] for field in dataclasses.fields(error)}  # type: ignore[arg-type]


def cases_of(error: type[PartnerVouchersError]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({name: KINDS[kind] for name, kind in attributes_of(error).items()})


def test_all_errors_have_one_root() -> None:
    assert len(ERRORS) >= 30
    for found in vars(errors).values():
        if isinstance(found, type) and issubclass(found, BaseException):
            assert issubclass(found, PartnerVouchersError)
    assert issubclass(PartnerVouchersError, Exception)


@pytest.mark.parametrize(
    "error",
    [
        error
        for error in ERRORS
        if error.code.startswith(("storage_", "schema_")) or "Storage" in error.__name__
    ]
    + [errors.ConnectionLost, errors.CommitOutcomeUnknown, errors.DuplicatePolicyMismatch],
    ids=lambda error: error.__name__,
)
def test_every_failure_of_the_storage_is_a_storage_error(error: type[PartnerVouchersError]) -> None:
    assert issubclass(error, errors.StorageError)


@given(text=TEXTS)
def test_braces_in_a_value_are_no_part_of_the_template(text: str) -> None:
    assert str(errors.InvalidInput(field="{code}", reason=text)) == f"{{code}}: {text}"


@pytest.mark.parametrize(
    "error, message",
    [
        (errors.NotDistributed(masked="A…"), "no user holds the code A…; check the code"),
        (
            errors.NotDistributed(masked="A…", lists=("1", "2")),
            "no user holds the code A…; check the code, or see list 1, 2",
        ),
        (errors.MessageError(reason="no [{line}: ]"), "message template: no [{line}: ]"),
        (errors.MessageError(reason="unknown", line=0), "message template: line 0: unknown"),
    ],
    ids=str,
)
def test_a_message_leaves_out_what_is_not_known(error: PartnerVouchersError, message: str) -> None:
    assert str(error) == message


def test_the_root_is_what_a_host_imports() -> None:
    assert partner_vouchers.PartnerVouchersError is PartnerVouchersError


def test_each_error_has_a_code_of_its_own() -> None:
    codes = [PartnerVouchersError.code, *(error.code for error in ERRORS)]

    assert len(set(codes)) == len(codes)
    for error in ERRORS:
        assert "code" in vars(error), f"{error.__name__} inherits its code"
        assert re.fullmatch("[a-z]+(_[a-z]+)*", error.code)


def test_an_error_of_a_host_has_the_code_of_its_base() -> None:
    class Strike(errors.SinkUnavailable):
        pass

    assert Strike.code == "sink_unavailable"


def test_the_codes_that_programs_rely_on_never_change() -> None:
    assert {error.code for error in ERRORS} == PROMISED


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_an_error_says_what_it_is(error: type[PartnerVouchersError]) -> None:
    first_line = (error.__doc__ or "").strip().splitlines()[0]

    assert first_line.endswith(".")
    assert error.__doc__ != PartnerVouchersError.__doc__


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
@settings(max_examples=5)
@given(data=st.data())
def test_an_error_carries_its_facts_and_a_message(
    error: type[PartnerVouchersError], data: st.DataObject
) -> None:
    facts = data.draw(cases_of(error))

    raised = error(**facts)

    assert {name: getattr(raised, name) for name in facts} == facts
    assert str(raised)
    assert repr(raised) == f"{error.__name__}({str(raised)!r})"
    assert isinstance(raised, PartnerVouchersError)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
@settings(max_examples=5)
@given(data=st.data())
def test_an_error_travels_between_processes(error: type[PartnerVouchersError], data: st.DataObject) -> None:
    raised = error(**data.draw(cases_of(error)))
    raised.add_note("in the worker")

    arrivals: list[PartnerVouchersError] = [
        pickle.loads(pickle.dumps(raised)),
        copy.copy(raised),
        copy.deepcopy(raised),
    ]
    for arrived in arrivals:
        assert type(arrived) is error
        assert {name: getattr(arrived, name) for name in attributes_of(error)} == {
            name: getattr(raised, name) for name in attributes_of(error)
        }
        assert str(arrived) == str(raised)
        assert arrived.code == error.code
        assert arrived.__notes__ == ["in the worker"]


def test_an_error_travels_with_the_one_that_caused_it() -> None:
    cause = errors.ParameterMissing(parameter="customersourceid")
    raised = errors.LinkedContentFailed(name="Referral", reason=str(cause), cause=cause)

    arrived = pickle.loads(pickle.dumps(raised))

    assert str(arrived.cause) == str(cause)
    assert arrived.cause.parameter == "customersourceid"


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_an_error_has_no_place_for_a_voucher_code(error: type[PartnerVouchersError]) -> None:
    # `code` is the name of the error for programs, and belongs to the class.
    assert {"code", "codes", "voucher_code", "coupon_code", "raw"}.isdisjoint(attributes_of(error))


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_facts_are_named_where_an_error_is_raised(error: type[PartnerVouchersError]) -> None:
    positional: list[Any] = ["fact"] * len(attributes_of(error))
    with pytest.raises(TypeError, match="positional"):
        error(*positional)


def test_an_upload_that_has_no_entry_yet_is_not_named_none() -> None:
    message = str(UploadRunning(list_id="7", upload_id=None))

    assert message.startswith("another upload to list 7 is running")
    assert str(UploadRunning(list_id="7", upload_id="u1")).startswith(
        "another upload (u1) to list 7 is running"
    )
