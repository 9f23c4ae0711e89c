from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partner_vouchers.domain.duplicates import (
    DuplicatePolicy,
    Everywhere,
    Holder,
    PerPartner,
    PerPartnerAndTag,
    counts_for_duplicates,
    refusal,
)
from partner_vouchers.domain.lifecycle import State
from partner_vouchers.domain.uploads import RowFaultKind
from partner_vouchers.domain.voucher_list import VoucherList, new_tag
from partner_vouchers.errors import InvalidTag
from tests.domain.examples import NAMES, a_list

POLICIES: list[DuplicatePolicy] = [PerPartnerAndTag(), PerPartner(), Everywhere()]

A = a_list(id="A", partner="Partner A", tag="tag_a")
B = a_list(id="B", partner="Partner A", tag="tag_b")
C = a_list(id="C", partner="Partner B", tag="tag_a")
D = a_list(id="D", partner="Partner A", tag="tag_a")
ARCHIVED_A = a_list(id="A", partner="Partner A", tag="tag_a", state=State.ARCHIVED)
PAUSED_A = a_list(id="A", partner="Partner A", tag="tag_a", state=State.PAUSED)


def refuses(policy: DuplicatePolicy, holder: VoucherList, other: VoucherList) -> bool:
    """Tell whether codes that `holder` has are refused for `other`."""
    return counts_for_duplicates(holder.state) and policy.scope(holder) == policy.scope(other)


@pytest.mark.parametrize(
    "holder,other,refused",
    [
        pytest.param(A, B, False, id="B: other tag"),
        pytest.param(A, C, False, id="C: other partner"),
        pytest.param(A, D, True, id="D: A has them"),
        pytest.param(ARCHIVED_A, D, False, id="E: A being archived"),
        pytest.param(PAUSED_A, D, True, id="D: A is paused"),
        pytest.param(A, A, True, id="A again"),
    ],
)
def test_the_specified_table(holder: VoucherList, other: VoucherList, refused: bool) -> None:
    assert refuses(PerPartnerAndTag(), holder, other) is refused


@pytest.mark.parametrize(
    "policy,same",
    [
        pytest.param(PerPartnerAndTag(), {"D"}, id="per partner and tag"),
        pytest.param(PerPartner(), {"B", "D"}, id="per partner"),
        pytest.param(Everywhere(), {"B", "C", "D"}, id="everywhere"),
    ],
)
def test_a_policy_names_the_lists_that_share_no_code_with_a(policy: DuplicatePolicy, same: set[str]) -> None:
    assert {other.id for other in (B, C, D) if refuses(policy, A, other)} == same


def test_the_names_that_storages_remember_never_change() -> None:
    assert [policy.name for policy in POLICIES] == ["per partner and tag", "per partner", "everywhere"]


def _tags(texts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    def is_tag(text: str) -> bool:
        try:
            return new_tag(text) == text
        except InvalidTag:
            return False

    return texts.filter(is_tag)


# A few characters only, so that scopes that are built badly do collide.
PARTNERS = st.text("ab \u00a0\u3000", min_size=1, max_size=6).filter(lambda name: name.strip() != "") | NAMES
TAGS = _tags(st.text("ab_", min_size=1, max_size=4) | st.text(min_size=1))


@given(one=st.tuples(PARTNERS, TAGS), other=st.tuples(PARTNERS, TAGS))
def test_two_lists_share_a_scope_when_partner_and_tag_are_equal(
    one: tuple[str, str], other: tuple[str, str]
) -> None:
    lists = [a_list(partner=partner, tag=tag) for partner, tag in (one, other)]

    scopes = [PerPartnerAndTag().scope(found) for found in lists]
    assert (scopes[0] == scopes[1]) is (one == other)

    scopes = [PerPartner().scope(found) for found in lists]
    assert (scopes[0] == scopes[1]) is (one[0] == other[0])

    scopes = [Everywhere().scope(found) for found in lists]
    assert scopes[0] == scopes[1]


@given(text=st.text("ab ", min_size=2, max_size=8))
def test_no_way_to_cut_a_text_into_tag_and_partner_looks_like_another(text: str) -> None:
    cuts = [(text[:end], text[start:]) for end in range(len(text)) for start in (end, end + 1)]
    pairs = {
        (partner, tag)
        for one, other in cuts
        for partner, tag in ((one, other), (other, one))
        if partner.strip() and tag and " " not in tag
    }

    scopes = {PerPartnerAndTag().scope(a_list(partner=partner, tag=tag)) for partner, tag in pairs}

    assert len(scopes) == len(pairs)


@given(partner=PARTNERS, tag=TAGS, name=NAMES, state=st.sampled_from(State))
def test_a_scope_depends_on_nothing_that_an_edit_changes(
    partner: str, tag: str, name: str, state: State
) -> None:
    found = a_list(partner=partner, tag=tag)
    changed = a_list(partner=partner, tag=tag, name=name, state=state, version=9)

    for policy in POLICIES:
        assert policy.scope(found) == policy.scope(changed)


@pytest.mark.parametrize(
    "holder,kind,message",
    [
        pytest.param(
            Holder("7", line=12),
            RowFaultKind.DUPLICATE_IN_FILE,
            "duplicate of line 12",
            id="earlier row of the file",
        ),
        pytest.param(
            Holder("7"), RowFaultKind.DUPLICATE_IN_LIST, "the code is already in this list", id="this list"
        ),
        pytest.param(
            Holder("8"),
            RowFaultKind.DUPLICATE_IN_OTHER_LIST,
            "the code is already in list 8",
            id="another list",
        ),
    ],
)
def test_a_refusal_names_the_rule_and_the_holder(holder: Holder, kind: RowFaultKind, message: str) -> None:
    assert refusal("7", holder) == (kind, message)


def test_the_scope_of_everything_is_the_one_that_storages_remember() -> None:
    assert Everywhere().scope(a_list()) == ""
