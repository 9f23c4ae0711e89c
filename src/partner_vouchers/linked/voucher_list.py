"""Linked content from the voucher lists of this library."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

from partner_vouchers.errors import InvalidInput, NoCodeAvailable, NoLinkedContent
from partner_vouchers.usecases.codes import CodesGroup

_SEPARATOR = "\x1f"


class VoucherListContent:
    """Assigns a code to the user when a message needs it, and none otherwise.

    The object has the property `code` and those of the event *CT Partner Voucher Rewarded*, such as `partner` and
    `listExpiry`. It needs the parameter `user_id`, which `render_many` passes. With the parameter `message_id`, the
    user gets the same code each time that the message is rendered, even if the campaign gives a new code for each
    request. Eligibility rules get all parameters as their context.

    If no list can provide a code, the template can show a default instead.

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
        """Choose the campaign or the list that provides the codes.

        Args:
            codes: `vouchers.codes`, or the one of `vouchers.using(connection)` to join the host's transaction.
            campaign_id: the campaign; pass either this or `list_id`.
            list_id: the list.

        Raises:
            InvalidInput: not exactly one of `campaign_id` and `list_id` is given, or `codes` is something else.
        """
        if (campaign_id is None) == (list_id is None):
            raise InvalidInput(field="campaign_id", reason="pass either campaign_id or list_id")
        if not callable(getattr(codes, "assign", None)):
            raise InvalidInput(field="codes", reason="must be `vouchers.codes`")
        self._codes = codes
        self._campaign_id = campaign_id
        self._list_id = list_id

    @property
    def parameters(self) -> frozenset[str]:
        """The one mandatory parameter, `user_id`."""
        return frozenset({"user_id"})

    def fetch(self, parameters: Mapping[str, str]) -> Mapping[str, object]:
        """Return the user's code: a new one, or the one that the user already has.

        Raises:
            NoLinkedContent: no list can provide a code.
            PartnerVouchersError: any other error of `codes.assign`.
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
        # Hashed, because a key is limited to 255 characters.
        parts = (self._campaign_id or "", self._list_id or "", parameters["user_id"], message)
        return f"linked:{sha256(_SEPARATOR.join(parts).encode()).hexdigest()}"
