"""Duplicate policies: the scope in which a code must be unique.

The rule is a pure function from a list to its **scope**: among the lists of one scope that are not
archived, a code occurs at most once. Three rules are shipped; a host can write its own.
"""

from __future__ import annotations

from typing import Protocol

from attrs import frozen

from partner_vouchers.domain.lifecycle import State
from partner_vouchers.domain.uploads import RowFaultKind
from partner_vouchers.domain.voucher_list import VoucherList


class DuplicatePolicy(Protocol):
    """Says where a code must be unique.

    The storage remembers the name: it cannot be opened with another policy afterwards. The scope is
    asked for once, when a list is created.
    """

    @property
    def name(self) -> str:
        """A stable name."""

    def scope(self, voucher_list: VoucherList) -> str:
        """Return the scope of a list; lists with the same scope must not share a code."""


@frozen
class PerPartnerAndTag:
    """A code is unique among the lists with the same partner and list tag: the default."""

    name: str = "per partner and tag"

    def scope(self, voucher_list: VoucherList) -> str:
        """Return the tag and the partner; the tag, having no white space, ends at the first space."""
        return f"{voucher_list.tag} {voucher_list.partner}"


@frozen
class PerPartner:
    """A code is unique among all lists of a partner."""

    name: str = "per partner"

    def scope(self, voucher_list: VoucherList) -> str:
        """Return the partner."""
        return voucher_list.partner


@frozen
class Everywhere:
    """A code is unique among all lists."""

    name: str = "everywhere"

    def scope(self, voucher_list: VoucherList) -> str:
        """Return the same scope for every list."""
        del voucher_list
        return ""


@frozen
class Holder:
    """The holder of a code in a scope: the facts of a conflict.

    Attributes:
        list_id: the list.
        line: the earlier line of the same file, where that is what holds it; None otherwise.
    """

    list_id: str
    line: int | None = None


def counts_for_duplicates(state: State) -> bool:
    """Tell whether the codes of a list with this state are still held: those of archived lists are not."""
    return state is not State.ARCHIVED


def refusal(list_id: str, holder: Holder) -> tuple[RowFaultKind, str]:
    """Return why a code for the list `list_id` is refused when `holder` has it, and a sentence about it."""
    if holder.line is not None:
        return RowFaultKind.DUPLICATE_IN_FILE, f"duplicate of line {holder.line}"
    if holder.list_id == list_id:
        return RowFaultKind.DUPLICATE_IN_LIST, "the code is already in this list"
    return RowFaultKind.DUPLICATE_IN_OTHER_LIST, f"the code is already in list {holder.list_id}"


@frozen
class DuplicateExplanation:
    """Why a code would be refused for a list.

    Attributes:
        policy: the name of the duplicate policy.
        kind: which rule refuses it.
        list_id: the list that holds the code.
        message: a sentence for people.
    """

    policy: str
    kind: RowFaultKind
    list_id: str
    message: str
