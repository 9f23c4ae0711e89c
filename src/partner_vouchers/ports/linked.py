"""What a host implements to bring content of its own into messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class LinkedContent(Protocol):
    """A source from which a message takes an object for one user, such as a voucher.

    A template names it: `{{ Linked["New Reactivation Voucher"].code }}`. It is asked when that place is rendered
    and not before, and once for each message however often the template looks at it.
    """

    @property
    def parameters(self) -> frozenset[str]:
        """The names of the mandatory parameters. The source is not asked while one is missing or empty."""
        ...

    def fetch(self, parameters: Mapping[str, str]) -> Mapping[str, object]:
        """Return the object for one user.

        Args:
            parameters: what the caller of `render` passed, with all mandatory ones.

        Returns:
            The properties of the object.

        Raises:
            NoLinkedContent: there is nothing for this user; the template may put a default in its place.
            PartnerVouchersError: it could not be had. No voucher code and no credential may stand in its text.
        """
        ...
