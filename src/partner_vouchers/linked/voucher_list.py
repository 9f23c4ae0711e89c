"""Linked content from the voucher lists of this library."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

from partner_vouchers.errors import InvalidInput, NoCodeAvailable, NoLinkedContent
from partner_vouchers.usecases.codes import CodesGroup

_SEPARATOR = "\x1f"


class VoucherListContent:
    """Gives the user a code when a message looks for it, and none when it does not.

    The object has the property `code`, and those of the event *CT Partner Voucher Rewarded*, such as `partner` and
    `listExpiry`. It needs the parameter `user_id`, which `render_many` passes by itself. With the parameter
    `message_id` the same user gets the same code whenever that message is rendered again, also where the campaign
    gives a new code for each request. All parameters are the context for eligibility rules.

    Where no list can give a code, the template may put a default in its place.

    Example:
        >>> from partner_vouchers.linked.voucher_list import VoucherListContent
        >>> from partner_vouchers.messages import MessageTemplate
        >>> template = MessageTemplate('Your code: {{ Linked["Winter"].code | default: "sold out" }}')
        >>> linked = {"Winter": VoucherListContent(vouchers.codes, campaign_id="CMP123456")}
        >>> template.render(event={}, linked=linked, parameters={"user_id": "user-42", "message_id": "m-1"})
        'Your code: PM500AA'
    """

    def __init__(
        self, codes: CodesGroup, *, campaign_id: str | None = None, list_id: str | None = None
    ) -> None:
        """Name where the codes come from.

        Args:
            codes: `vouchers.codes`. That of `vouchers.using(connection)` gives codes within the host's transaction.
            campaign_id: the campaign; either this or `list_id`.
            list_id: the list.

        Raises:
            InvalidInput: not exactly one of `campaign_id` and `list_id` is given.
        """
        if (campaign_id is None) == (list_id is None):
            raise InvalidInput(field="campaign_id", reason="pass either campaign_id or list_id")
        self._codes = codes
        self._campaign_id = campaign_id
        self._list_id = list_id

    @property
    def parameters(self) -> frozenset[str]:
        """The one mandatory parameter, `user_id`."""
        return frozenset({"user_id"})

    def fetch(self, parameters: Mapping[str, str]) -> Mapping[str, object]:
        """Give the user a code, or the one that the user already has.

        Raises:
            NoLinkedContent: no list can give a code.
            PartnerVouchersError: what `codes.assign` raises besides.
        """
        try:
            reward = self._codes.assign(
                user_id=parameters["user_id"],
                campaign_id=self._campaign_id,
                list_id=self._list_id,
                idempotency_key=self._key(parameters),
                context=parameters,
            )
        except NoCodeAvailable as error:
            raise NoLinkedContent(reason=str(error)) from error
        return {**reward.event.properties(), "code": reward.code}

    def _key(self, parameters: Mapping[str, str]) -> str | None:
        message = parameters.get("message_id")
        if not message:
            return None
        # Hashed, since it holds the user and has a greatest length.
        parts = (self._campaign_id or "", self._list_id or "", parameters["user_id"], message)
        return f"linked:{sha256(_SEPARATOR.join(parts).encode()).hexdigest()}"
