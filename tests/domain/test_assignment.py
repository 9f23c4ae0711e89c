from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import pytest
from attrs import evolve
from hypothesis import example, given
from hypothesis import strategies as st

from partner_vouchers.domain.assignment import (
    EXHAUSTED,
    NOT_ELIGIBLE,
    Candidate,
    Request,
    ineligibility_reason,
    new_request,
    no_code,
    should_replay,
)
from partner_vouchers.domain.campaigns import CampaignLink, RepeatPolicy
from partner_vouchers.domain.lifecycle import Status
from partner_vouchers.errors import (
    CodesExhausted,
    InvalidInput,
    NoActiveList,
    NoCodeAvailable,
    NotEligible,
)
from tests.domain.examples import MICROSECOND, NOW, a_list, a_list_that_is, an_assignment


def a_link(
    *, repeat: RepeatPolicy = RepeatPolicy.SAME_CODE, eligibility: str | None = None, list_id: str = "1837"
) -> CampaignLink:
    return CampaignLink(
        list_id=list_id,
        campaign_id="CMP123456",
        repeat=repeat,
        priority=0,
        eligibility=eligibility,
        linked_at=NOW,
    )


# --- what is asked for -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "campaign_id,list_id",
    [
        pytest.param(None, None, id="neither"),
        pytest.param("CMP1", "1837", id="both"),
        pytest.param("", None, id="empty campaign"),
        pytest.param(None, "", id="empty list"),
        pytest.param(123456, None, id="campaign as a number"),
        pytest.param(None, 1837, id="list as a number"),
        pytest.param("CMP\0", None, id="NUL"),
    ],
)
def test_a_request_names_either_a_campaign_or_a_list(campaign_id: object, list_id: object) -> None:
    with pytest.raises(InvalidInput) as refused:
        new_request(campaign_id, list_id, None)
    assert refused.value.field == ("campaign_id" if list_id is None or campaign_id else "list_id")


@pytest.mark.parametrize("key", ["k", "order-991", "k" * 255, "🔑" * 255, " "], ids=len)
def test_an_idempotency_key_has_up_to_255_characters(key: str) -> None:
    assert new_request("CMP1", None, key).idempotency_key == key


IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=3)
ARGUMENTS = st.lists(IDS | st.none() | st.booleans() | st.lists(IDS, max_size=2), max_size=3).map(tuple)
REQUESTS = st.tuples(IDS | st.none(), IDS | st.none(), ARGUMENTS)


@given(one=REQUESTS, other=REQUESTS)
@example(("A", None, ('u", "v',)), ("A", None, ("u", "v")))
@example(("A", None, (None,)), ("A", None, ("null",)))
@example(("A", None, (["u", "v"],)), ("A", None, ("u", "v")))
def test_requests_have_the_same_fingerprint_when_their_arguments_are_the_same(
    one: tuple[str | None, str | None, tuple[object, ...]],
    other: tuple[str | None, str | None, tuple[object, ...]],
) -> None:
    prints = [Request(found[0], found[1], None).fingerprint(*found[2]) for found in (one, other)]

    assert (prints[0] == prints[1]) is (one == other)


def test_the_key_is_no_part_of_the_fingerprint() -> None:
    assert Request("A", None, "k1").fingerprint("u") == Request("A", None, "k2").fingerprint("u")


# --- asking again ------------------------------------------------------------------------------------

SAME, VALID, NEW = RepeatPolicy.SAME_CODE, RepeatPolicy.SAME_WHILE_VALID, RepeatPolicy.NEW_CODE


def linked(repeat: RepeatPolicy, status: Status = Status.ACTIVE, list_id: str = "1837") -> Candidate:
    return Candidate(evolve(a_list_that_is(status), id=list_id), a_link(repeat=repeat, list_id=list_id))


@pytest.mark.parametrize(
    "repeat,same_in",
    [
        (SAME, set(Status)),
        (VALID, {Status.ACTIVE, Status.PAUSED}),
        (NEW, set[Status]()),
    ],
    ids=["same code", "same while valid", "new code"],
)
@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("is_linked", [True, False], ids=["linked", "unlinked since"])
def test_a_policy_and_the_status_of_the_list_decide_on_a_repeat(
    repeat: RepeatPolicy, same_in: set[Status], status: Status, is_linked: bool
) -> None:
    held_list = a_list_that_is(status)
    # A list that is unlinked is looked up; the first link by priority decides, and the others do not.
    others = [linked(NEW if repeat is SAME else SAME, list_id="3")]
    first = linked(repeat, status) if is_linked else linked(repeat, list_id="2")

    same = should_replay(an_assignment(), [first, *others], NOW, {"1837": held_list}.get)

    assert same is (status in same_in)


def test_the_link_of_the_list_that_gave_the_code_comes_before_the_first_link() -> None:
    for held, first in product((SAME, NEW), repeat=2):
        candidates = [linked(first, list_id="2"), linked(held)]
        assert should_replay(an_assignment(), candidates, NOW, no_list) is (held is SAME)


@pytest.mark.parametrize("status", Status)
def test_a_list_that_is_asked_directly_gives_the_same_code_whatever_its_status(status: Status) -> None:
    assert should_replay(an_assignment(), [Candidate(a_list_that_is(status))], NOW, no_list)


def test_a_code_of_a_list_that_is_gone_is_not_valid() -> None:
    assert not should_replay(an_assignment(), [linked(VALID, list_id="2")], NOW, lambda list_id: None)


def no_list(list_id: str) -> None:
    raise AssertionError(f"list {list_id} is looked up in vain")


# --- why a list gives nothing --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "candidate,reason",
    [
        pytest.param(Candidate(a_list()), None, id="active, with codes"),
        pytest.param(Candidate(a_list_that_is(Status.PAUSED)), "Paused", id="paused"),
        pytest.param(Candidate(a_list_that_is(Status.EXPIRED)), "Expired", id="expired"),
        pytest.param(Candidate(a_list_that_is(Status.ARCHIVED)), "Archived", id="archived"),
        pytest.param(Candidate(a_list(expires_at=NOW)), None, id="at the very instant of its expiry"),
        pytest.param(Candidate(a_list(expires_at=NOW - MICROSECOND)), "Expired", id="an instant later"),
        pytest.param(Candidate(a_list(), a_link(eligibility="gold")), None, id="eligible"),
        pytest.param(Candidate(a_list(), a_link(eligibility="silver")), NOT_ELIGIBLE, id="not eligible"),
        pytest.param(
            Candidate(a_list_that_is(Status.PAUSED), a_link(eligibility="silver")),
            "Paused",
            id="neither active nor eligible",
        ),
    ],
)
def test_a_list_gives_a_code_or_says_ineligibility_reason(candidate: Candidate, reason: str | None) -> None:
    assert ineligibility_reason(candidate, NOW, lambda rule, _: rule == "gold", {}) == reason


def test_a_rule_is_asked_only_where_it_decides() -> None:
    asked: list[str] = []
    facts = {"tier": "gold"}

    def ask(rule: str, context: Mapping[str, object]) -> bool:
        asked.append(rule)
        return context == facts

    ineligibility_reason(Candidate(a_list()), NOW, ask, facts)
    ineligibility_reason(Candidate(a_list(), a_link()), NOW, ask, facts)
    ineligibility_reason(
        Candidate(a_list_that_is(Status.PAUSED), a_link(eligibility="gold")), NOW, ask, facts
    )
    assert asked == []

    ineligibility_reason(Candidate(a_list(), a_link(eligibility="gold")), NOW, ask, facts)
    assert asked == ["gold"]


@pytest.mark.parametrize(
    "reasons,error",
    [
        pytest.param([EXHAUSTED], CodesExhausted, id="exhausted"),
        pytest.param(["Paused", "Expired", "Archived"], NoActiveList, id="none active"),
        pytest.param([NOT_ELIGIBLE], NotEligible, id="not eligible"),
        pytest.param([NOT_ELIGIBLE, "Paused"], NotEligible, id="not eligible or not active"),
        pytest.param(["Paused", EXHAUSTED], CodesExhausted, id="an active list is exhausted"),
        pytest.param([NOT_ELIGIBLE, EXHAUSTED], CodesExhausted, id="not eligible or exhausted"),
    ],
)
def test_no_code_anywhere_is_an_error_that_says_which_lists_and_why(
    reasons: list[str], error: type[NoCodeAvailable]
) -> None:
    lists = tuple((str(number), reason) for number, reason in enumerate(reasons, start=1))

    found = no_code("CMP123456", lists)

    assert type(found) is error
    assert found.campaign_id == "CMP123456"
    assert found.lists == lists
    for list_id, reason in lists:
        assert f"list {list_id}: {reason}" in str(found)
