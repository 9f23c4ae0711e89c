"""The six promo events: what a user got or did, under the names that CleverTap's promo module gives them.

`VoucherRewarded` is written by an assignment. The others are the host's to raise with `events.emit`; they check
themselves when they are made. `table` of each class is the one place that lists its wire names.

Which properties are optional follows the product's pages: those that it calls optional, and those that it
says apply to some coupons or credits only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, ClassVar, Final

from attrs import Attribute, field, frozen
from attrs.converters import optional as _optionally
from attrs.validators import optional

from partner_vouchers.domain.codes import mask
from partner_vouchers.domain.events import Event, user_key
from partner_vouchers.domain.expiry import require_aware
from partner_vouchers.domain.properties import (
    CODE,
    COUPON_DATE,
    EPOCH_SECONDS,
    ISO_INSTANT,
    NAME,
    NUMBER,
    Number,
    Property,
    PropertyTable,
    WireForm,
    WireValue,
    as_number,
    require_further,
    require_number,
)
from partner_vouchers.domain.text import require_name, require_text
from partner_vouchers.errors import InvalidInput

POINTS_SOURCES: Final = ("Campaign", "API", "Manual", "Cashback Coupon")
"""The possible sources of a change of a wallet's points."""


def _copied(extra: object) -> Mapping[str, object]:
    if extra == {}:
        return {}
    fault = ""
    if isinstance(extra, Mapping):
        try:
            return dict(require_further(name, value) for name, value in extra.items())
        except InvalidInput as error:
            fault = f"; one of them {error.reason}"
    raise InvalidInput(
        field="extra", reason=f"must be a mapping of names to texts, numbers, true, false or None{fault}"
    )


@frozen(kw_only=True)
class PromoEvent(Event):
    """An event about what a user got or did in a promotion.

    Attributes:
        user_id: the user; the identity of the event, not one of its properties.
        extra: further properties that the event was read with, by their wire names: texts, numbers, booleans, None.
            They are kept, and never written. The repr shows their names only, since one may be a code.
        table: its properties under their wire names.
    """

    table: ClassVar[PropertyTable]

    user_id: str
    extra: Mapping[str, object] = field(
        factory=dict, converter=_copied, hash=False, repr=lambda extra: repr(sorted(extra))
    )

    @property
    def ordering_key(self) -> str:
        """The user."""
        return user_key(self.user_id)

    def properties(self, form: str | None = None) -> dict[str, WireValue]:
        """Return the properties of the event under their wire names.

        A property without a value is left out.

        Args:
            form: the wire form, such as `WireForm.LEGACY`; the event's first one by default.

        Raises:
            InvalidInput: the event does not have this form.

        Example:
            >>> from datetime import datetime
            >>> event = PointsDebited(
            ...     occurred_at=datetime(2024, 2, 19, 14, tzinfo=UTC), user_id="user-42", wallet_id="W1",
            ...     source="API", points=20, transaction_id="T1",
            ... )
            >>> event.properties()
            {'Wallet Id': 'W1', 'Source': 'API', 'Points': 20, 'Transaction Id': 'T1'}
        """
        return self.table.write(self, form)

    @classmethod
    def property_names(cls, form: str | None = None) -> tuple[str, ...]:
        """Return the names of all properties that the event can have in a wire form.

        Raises:
            InvalidInput: the event does not have this form.
        """
        return tuple(name for name, _ in cls.table.of_form(form))


# --- partner vouchers ------------------------------------------------------------------------------------


@frozen(kw_only=True)
class VoucherRewarded(PromoEvent):
    """A user was given a voucher code: `CT Partner Voucher Rewarded`.

    Attributes:
        user_id: who was given it; the identity of the event, not one of its properties.
        campaign_id: the campaign that gave it, or None where it was asked of a list.
        source: `"Campaign"` or `"API"`.
        voucher_code: the code, masked in the repr.
        list_id: the list that it came from.
        list_tag: the tag, name, description and expiry of that list at the time.
        list_name: see `list_tag`; None in an event that was read from a form without it.
        list_description: see `list_tag`.
        list_expiry: see `list_tag`.
        partner: whose code it is.
    """

    event_name: ClassVar[str] = "CT Partner Voucher Rewarded"
    ct_source: ClassVar[str] = "Promo Module"
    table: ClassVar[PropertyTable] = PropertyTable(
        (WireForm.CURRENT, WireForm.LEGACY, WireForm.TITLE_CASE),
        (
            Property("ct_source", ("CT Source", None, None), choices=("Promo Module",), constant=True),
            Property("campaign_id", ("campaignId", "campaignID", "Campaign Id"), NAME, optional=True),
            Property("occurred_at", ("eventTimestamp", None, None), EPOCH_SECONDS),
            Property("list_description", ("listDescription", "codeDescription", "Code Description")),
            Property("list_expiry", ("listExpiry", None, None), ISO_INSTANT),
            Property("list_tag", ("listTag", "codeSnippetName", "Code Snippet Name"), NAME),
            Property("partner", ("partner", "codeProvider", "Code Provider"), NAME),
            Property("source", ("source", "source", "Source"), choices=("Campaign", "API")),
            Property("voucher_code", ("voucherCode", "voucherCode", None), CODE),
            Property("list_id", ("voucherListId", "voucherListID", "Voucher List Id"), NAME),
            Property("list_name", (None, None, "Code Name"), NAME, optional=True),
        ),
    )

    campaign_id: str | None
    source: str
    voucher_code: str = field(repr=mask)
    list_id: str
    list_tag: str
    list_name: str | None = None
    list_description: str
    list_expiry: datetime
    partner: str


# --- what a host raises ----------------------------------------------------------------------------------


def _validator(check: Callable[[str, object], object]) -> Callable[[object, Attribute[Any], object], object]:
    """Return a validator that checks an attribute by a rule that raises `InvalidInput` with its name."""
    return lambda _event, attribute, value: check(attribute.name, value)


_is_name = _validator(require_name)
_is_text = _validator(require_text)
_is_instant = _validator(require_aware)
_is_number = _validator(require_number)


def _is_points_source(_event: object, attribute: Attribute[Any], value: Any) -> None:
    if value not in POINTS_SOURCES:
        known = ", ".join(map(repr, POINTS_SOURCES))
        raise InvalidInput(field=attribute.name, reason=f"must be one of {known}")


def _in_utc(value: datetime) -> datetime:
    # What is no aware datetime is told by the validator, which knows the field.
    try:
        return require_aware("instant", value)
    except InvalidInput:
        return value


def _mask_or_none(code: str | None) -> str:
    return "None" if code is None else mask(code)


@frozen(kw_only=True)
class HostEvent(PromoEvent):
    """A promo event of the host's: what `events.emit` takes.

    Strings follow the library's rules: names and ids have one line, descriptions may have several. Instants
    are aware and kept in UTC. A number may be an int, a float or a Decimal that a float can show exactly.

    Raises:
        InvalidInput: a value breaks a rule.
        NaiveDatetime: an instant has no time zone.

    Attributes:
        occurred_at: when it happened.
        user_id: the user; the identity of the event, not one of its properties.
    """

    occurred_at: datetime = field(converter=_in_utc, validator=_is_instant)
    user_id: str = field(validator=_is_name)


@frozen(kw_only=True)
class CouponRewarded(HostEvent):
    """A user was given a coupon: `CT Coupon Rewarded`.

    Raises:
        InvalidInput: a value breaks a rule.
        NaiveDatetime: an instant has no time zone.

    Attributes:
        coupon_name: the name of a bulk coupon.
        coupon_id: the id of the coupon.
        coupon_code: the code of a single-use coupon, masked in the repr.
        campaign_id: the campaign that gave it.
        description: what the coupon is.
        terms: its terms and conditions.
        starts_at: when it becomes valid.
        redeemable_from: when it can be redeemed.
        expires_at: when it ends.
    """

    event_name: ClassVar[str] = "CT Coupon Rewarded"
    table: ClassVar[PropertyTable] = PropertyTable(
        (WireForm.TITLE_CASE,),
        (
            Property("coupon_name", ("Coupon Name",), optional=True),
            Property("coupon_id", ("Coupon Id",)),
            Property("coupon_code", ("Coupon Code",), optional=True),
            Property("campaign_id", ("Campaign Id",)),
            Property("description", ("Description",), optional=True),
            Property("terms", ("Terms and Condition",), optional=True),
            Property("starts_at", ("Coupon Start Date",), COUPON_DATE),
            Property("redeemable_from", ("Redemption Activation Date",), COUPON_DATE),
            Property("expires_at", ("Coupon Expiry Date",), COUPON_DATE),
        ),
    )

    coupon_name: str | None = field(default=None, validator=optional(_is_name))
    coupon_id: str = field(validator=_is_name)
    coupon_code: str | None = field(default=None, repr=_mask_or_none, validator=optional(_is_name))
    campaign_id: str = field(validator=_is_name)
    description: str | None = field(default=None, validator=optional(_is_text))
    terms: str | None = field(default=None, validator=optional(_is_text))
    starts_at: datetime = field(converter=_in_utc, validator=_is_instant)
    redeemable_from: datetime = field(converter=_in_utc, validator=_is_instant)
    expires_at: datetime = field(converter=_in_utc, validator=_is_instant)


@frozen(kw_only=True)
class CouponUsed(HostEvent):
    """A coupon was redeemed, or its redemption was taken back.

    Raises:
        InvalidInput: a value breaks a rule.
        NaiveDatetime: an instant has no time zone.

    Attributes:
        order_id: the order for which it was redeemed.
        coupon_code: the code of a single-use coupon, masked in the repr.
        coupon_id: the id of the coupon.
        coupon_name: the name of a bulk coupon.
        discount_amount: the discount that a discount coupon gave.
        cashback_points: the points that a cashback coupon gave.
    """

    table: ClassVar[PropertyTable] = PropertyTable(
        (WireForm.TITLE_CASE,),
        (
            Property("order_id", ("Order Id",)),
            Property("coupon_code", ("Coupon Code",), optional=True),
            Property("coupon_id", ("Coupon Id",)),
            Property("coupon_name", ("Coupon Name",), optional=True),
            Property("discount_amount", ("Discount Amount",), NUMBER, optional=True),
            Property("cashback_points", ("Cashback Points",), NUMBER, optional=True),
        ),
    )

    order_id: str = field(validator=_is_name)
    coupon_code: str | None = field(default=None, repr=_mask_or_none, validator=optional(_is_name))
    coupon_id: str = field(validator=_is_name)
    coupon_name: str | None = field(default=None, validator=optional(_is_name))
    discount_amount: Number | None = field(
        default=None, converter=_optionally(as_number), validator=optional(_is_number)
    )
    cashback_points: Number | None = field(
        default=None, converter=_optionally(as_number), validator=optional(_is_number)
    )


class CouponRedeemed(CouponUsed):
    """A user redeemed a coupon: `CT Coupon Redeemed`."""

    event_name = "CT Coupon Redeemed"


class CouponReverted(CouponUsed):
    """The redemption of a coupon was taken back: `CT Coupon Reverted`."""

    event_name = "CT Coupon Reverted"


@frozen(kw_only=True)
class PointsCredited(HostEvent):
    """Points were added to a user's wallet: `CT Points Credited`.

    Raises:
        InvalidInput: a value breaks a rule.
        NaiveDatetime: an instant has no time zone.

    Attributes:
        wallet_id: the wallet.
        campaign_id: the campaign that gave them, where one did.
        source: one of `POINTS_SOURCES`.
        wallet_description: what the wallet is.
        points_description: what the points are for.
        points: how many.
        transaction_id: the id of the transaction.
        ct_source: what triggered the event: the system property `CT Source`.
    """

    event_name: ClassVar[str] = "CT Points Credited"
    table: ClassVar[PropertyTable] = PropertyTable(
        (WireForm.TITLE_CASE, WireForm.CAMEL_CASE),
        (
            Property("ct_source", (None, "CT Source")),
            Property("wallet_id", ("Wallet Id", "walletId")),
            Property("campaign_id", ("Campaign Id", "campaignId"), optional=True),
            Property("source", ("Source", "source"), choices=POINTS_SOURCES),
            Property("wallet_description", ("Wallet Description", None), optional=True),
            Property("points_description", (None, "pointsDescription"), optional=True),
            Property("points", ("Points", "points"), NUMBER),
            Property("transaction_id", ("Transaction Id", "transactionId")),
            Property("occurred_at", (None, "eventTimestamp"), EPOCH_SECONDS),
        ),
    )

    wallet_id: str = field(validator=_is_name)
    campaign_id: str | None = field(default=None, validator=optional(_is_name))
    source: str = field(validator=_is_points_source)
    wallet_description: str | None = field(default=None, validator=optional(_is_text))
    points_description: str | None = field(default=None, validator=optional(_is_text))
    points: Number = field(converter=as_number, validator=_is_number)
    transaction_id: str = field(validator=_is_name)
    ct_source: str = field(default="API", validator=_is_name)


@frozen(kw_only=True)
class PointsDebited(HostEvent):
    """Points were taken from a user's wallet: `CT Points Debited`.

    Raises:
        InvalidInput: a value breaks a rule.
        NaiveDatetime: an instant has no time zone.

    Attributes:
        wallet_id: the wallet.
        source: one of `POINTS_SOURCES`.
        wallet_description: what the wallet is.
        points: how many.
        transaction_id: the id of the transaction.
    """

    event_name: ClassVar[str] = "CT Points Debited"
    table: ClassVar[PropertyTable] = PropertyTable(
        (WireForm.TITLE_CASE,),
        (
            Property("wallet_id", ("Wallet Id",)),
            Property("source", ("Source",), choices=POINTS_SOURCES),
            Property("wallet_description", ("Wallet Description",), optional=True),
            Property("points", ("Points",), NUMBER),
            Property("transaction_id", ("Transaction Id",)),
        ),
    )

    wallet_id: str = field(validator=_is_name)
    source: str = field(validator=_is_points_source)
    wallet_description: str | None = field(default=None, validator=optional(_is_text))
    points: Number = field(converter=as_number, validator=_is_number)
    transaction_id: str = field(validator=_is_name)


HOST_EVENTS: Final[tuple[type[HostEvent], ...]] = (
    CouponRewarded,
    CouponRedeemed,
    CouponReverted,
    PointsCredited,
    PointsDebited,
)
"""The promo events that a host raises."""

PROMO_EVENTS: Final[tuple[type[PromoEvent], ...]] = (VoucherRewarded, *HOST_EVENTS)
"""All promo events."""
