"""Partners: add them and look them up."""

from __future__ import annotations

from partner_vouchers.domain.events import FieldChange, PartnerAdded
from partner_vouchers.domain.partner import Partner, new_partner
from partner_vouchers.domain.text import require_name
from partner_vouchers.errors import InvalidPartnerName, PartnerExists, UnknownPartner
from partner_vouchers.ports import Transaction
from partner_vouchers.usecases.attempts import transact
from partner_vouchers.usecases.wiring import Wiring, record, require_actor


class PartnersGroup:
    """The brands whose codes are given out; reached as `vouchers.partners`."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring

    def add(self, name: str, *, actor: str | None = None) -> Partner:
        """Add a partner.

        Args:
            name: any text without control characters; upper and lower case differ.
            actor: who adds it, for the audit log.

        Raises:
            InvalidPartnerName: the name is empty, blank, or holds a control character.
            PartnerExists: there is a partner of exactly this name.

        Example:
            >>> vouchers.partners.add("Amazon").name
            'Amazon'
        """
        actor = require_actor(actor)
        now = self._wiring.now()
        partner = new_partner(name, now)

        def add(tx: Transaction) -> None:
            if not tx.partners.add(partner):
                raise PartnerExists(name=name)
            record(tx, [PartnerAdded(occurred_at=now, changes=(FieldChange("partner", None, name),))], actor)
            tx.commit()

        transact(self._wiring, add)
        return partner

    def get(self, name: str) -> Partner:
        """Return the partner of exactly this name.

        Raises:
            UnknownPartner: there is none.
            InvalidPartnerName: no partner can have this name.
        """
        name = require_name("name", name, InvalidPartnerName)
        partner = transact(self._wiring, lambda tx: tx.partners.get(name), write=False)
        if partner is None:
            raise UnknownPartner(name=name)
        return partner

    def all(self) -> list[Partner]:
        """Return all partners, ordered by name."""
        return transact(self._wiring, lambda tx: tx.partners.all(), write=False)
