"""What becomes of the messages of a campaign, user by user."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from attrs import Factory, field, frozen

from partner_vouchers.errors import PartnerVouchersError


class HasProperties(Protocol):
    """An event that a message can tell of, such as `VoucherRewarded`."""

    def properties(self) -> Mapping[str, object]:
        """Return the properties of the event under their wire names."""
        ...


@frozen(kw_only=True)
class Recipient:
    """One user of a campaign.

    Attributes:
        user_id: who gets the message. It is also the parameter `user_id` of linked content.
        event: what happened to the user, or the properties of that event; not shown, since it may hold a code.
        profile: what is known about the user.
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
        user_id: who gets it.
        message: the text; not shown, since it may hold a code.
    """

    user_id: str
    message: str = field(repr=False)


@frozen
class Skipped:
    """The template says `{% abort %}`: this user gets no message.

    Attributes:
        user_id: who gets none.
        reason: the reason given in the template, such as `"no code"`, or None.
    """

    user_id: str
    reason: str | None


@frozen
class Failed:
    """The message could not be rendered.

    Attributes:
        user_id: who gets none.
        error: why: a `MessageError`, or an `InvalidInput` where the event is not one.
    """

    user_id: str
    error: PartnerVouchersError


Outcome = Rendered | Skipped | Failed
