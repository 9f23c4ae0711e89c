"""The protocol for a source of linked content."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class LinkedContent(Protocol):
    """A source of an object for one user, such as a voucher.

    A template names it: `{{ Linked["New Reactivation Voucher"].code }}`. It is asked when the message needs its
    content, at most once for each message.
    """

    @property
    def parameters(self) -> frozenset[str]:
        """The names of the mandatory parameters. The source is not asked if one is missing or empty."""

    def fetch(self, parameters: Mapping[str, str]) -> Mapping[str, object]:
        """Return the object for one user.

        Args:
            parameters: the parameters of `render`, including all mandatory ones.

        Returns:
            The properties of the object.

        Raises:
            NoLinkedContent: there is nothing for this user; the template may name a replacement.
            PartnerVouchersError: the look-up failed. Its text must hold no voucher code and no credential.
        """
