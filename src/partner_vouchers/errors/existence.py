"""Something is not there, or is there already."""

from typing import ClassVar

from partner_vouchers.errors.base import PartnerVouchersError, structured


@structured
class UnknownPartner(PartnerVouchersError):
    """There is no partner of this name (names are case-sensitive)."""

    code: ClassVar[str] = "unknown_partner"
    name: str

    def __str__(self) -> str:
        return f"there is no partner {self.name!r}; add it with partners.add({self.name!r})"


@structured
class PartnerExists(PartnerVouchersError):
    """A partner of exactly this name exists."""

    code: ClassVar[str] = "partner_exists"
    name: str

    def __str__(self) -> str:
        return f"partner {self.name!r} exists already; use it, or choose another name"


@structured
class UnknownList(PartnerVouchersError):
    """There is no voucher list with this id, or it was deleted."""

    code: ClassVar[str] = "unknown_list"
    list_id: str

    def __str__(self) -> str:
        return f"there is no voucher list {self.list_id!r}; lists.find() shows those that exist"


@structured
class TagTaken(PartnerVouchersError):
    """Another list of the partner that is not archived has this tag.

    Attributes:
        partner: the partner's name.
        tag: the tag in its stored, lower-case form.
        list_id: the list that has it.
    """

    code: ClassVar[str] = "tag_taken"
    partner: str
    tag: str
    list_id: str

    def __str__(self) -> str:
        return (
            f"partner {self.partner!r} uses the tag {self.tag!r} for list {self.list_id}; "
            f"choose another tag, upload to that list, or archive it"
        )


@structured
class UnknownUpload(PartnerVouchersError):
    """There is no upload with this id."""

    code: ClassVar[str] = "unknown_upload"
    upload_id: str

    def __str__(self) -> str:
        return f"there is no upload {self.upload_id!r}; uploads.of_list(list_id) shows a list's uploads"


@structured
class OriginalNotKept(PartnerVouchersError):
    """The original file of an upload is not in the storage, because it was over the size limit or never read whole."""

    code: ClassVar[str] = "original_not_kept"
    upload_id: str

    def __str__(self) -> str:
        return f"the original file of upload {self.upload_id} was not kept, because it was never read whole"


@structured
class NotLinked(PartnerVouchersError):
    """A list is not linked to a campaign."""

    code: ClassVar[str] = "not_linked"
    list_id: str
    campaign_id: str

    def __str__(self) -> str:
        return f"list {self.list_id} is not linked to campaign {self.campaign_id!r}"


@structured
class CampaignNotLinked(PartnerVouchersError):
    """No voucher list is linked to the campaign."""

    code: ClassVar[str] = "campaign_not_linked"
    campaign_id: str

    def __str__(self) -> str:
        return (
            f"no voucher list is linked to campaign {self.campaign_id!r}; "
            f"link one with campaigns.link(list_id, {self.campaign_id!r})"
        )


@structured
class UnknownEligibilityRule(PartnerVouchersError):
    """A campaign link names an eligibility rule that this program has not registered.

    Attributes:
        name: the name on the link.
        registered: the names that were registered.
    """

    code: ClassVar[str] = "unknown_eligibility_rule"
    name: str
    registered: tuple[str, ...]

    def __str__(self) -> str:
        known = ", ".join(self.registered) or "none"
        return (
            f"eligibility rule {self.name!r} is not registered (registered: {known}); "
            f"pass it as PartnerVouchers(..., eligibility={{{self.name!r}: rule}})"
        )
