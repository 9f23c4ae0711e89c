"""The outcomes of the messages of a campaign, one for each user."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from attrs import Factory, field, frozen

from partner_vouchers.errors import PartnerVouchersError


class HasProperties(Protocol):
    """An event with properties, such as `VoucherRewarded`."""

    def properties(self) -> Mapping[str, object]:
        """Return the properties of the event under their wire names."""


@frozen(kw_only=True)
class Recipient:
    """One user of a campaign.

    Attributes:
        user_id: the recipient, and the parameter `user_id` of linked content.
        event: the event, or its properties; left out of the repr, since it may hold a code.
        profile: the properties of the user; left out of the repr.
        parameters: further parameters of linked content.
    """

    user_id: str
    event: HasProperties | Mapping[str, object] = field(factory=dict, repr=False)
    profile: Mapping[str, object] = field(factory=dict, repr=False)
    parameters: Mapping[str, str] = Factory(dict)


@frozen
class Rendered:
    """The message is ready.

    Attributes:
        user_id: the recipient.
        message: the text; left out of the repr, since it may hold a code.
    """

    user_id: str
    message: str = field(repr=False)


@frozen
class Skipped:
    """The template skips the message with `{% abort %}`.

    Attributes:
        user_id: the user without a message.
        reason: the reason in the template, such as `"no code"`, or None.
    """

    user_id: str
    reason: str | None


@frozen
class Failed:
    """The message could not be rendered.

    Attributes:
        user_id: the user without a message.
        error: a `MessageError`, or an `InvalidInput` if the event is none.
    """

    user_id: str
    error: PartnerVouchersError


Outcome = Rendered | Skipped | Failed
