"""No code could be given, or not again."""

from typing import ClassVar

from partner_vouchers.errors.base import PartnerVouchersError, structured


@structured
class NoCodeAvailable(PartnerVouchersError):
    """No linked list can give a code now.

    Attributes:
        campaign_id: the campaign asked for, or None where a list was asked directly.
        lists: for each list that was tried, its id and why it gave nothing:
            `"exhausted"`, `"not eligible"`, or its status.
    """

    code: ClassVar[str] = "no_code_available"
    campaign_id: str | None
    lists: tuple[tuple[str, str], ...]

    def _reasons(self) -> str:
        return ", ".join(f"list {list_id}: {reason}" for list_id, reason in self.lists)

    def __str__(self) -> str:
        return f"no code can be given out ({self._reasons()})"


class CodesExhausted(NoCodeAvailable):
    """Every active list has given out all its codes."""

    code = "codes_exhausted"

    def __str__(self) -> str:
        return f"no code is left ({self._reasons()}); upload more codes to one of these lists"


class NoActiveList(NoCodeAvailable):
    """None of the lists is active."""

    code = "no_active_list"

    def __str__(self) -> str:
        return f"no list is active ({self._reasons()}); activate or extend one, or link another"


class NotEligible(NoCodeAvailable):
    """The eligibility rules of the links turned the user away."""

    code = "not_eligible"

    def __str__(self) -> str:
        return f"the user is not eligible ({self._reasons()})"


@structured
class IdempotencyConflict(PartnerVouchersError):
    """An idempotency key came again with other arguments.

    Attributes:
        key: the idempotency key.
    """

    code: ClassVar[str] = "idempotency_conflict"
    key: str

    def __str__(self) -> str:
        return (
            f"idempotency key {self.key!r} was used with other arguments; "
            f"use a key of its own for each request, or repeat the first request unchanged"
        )
