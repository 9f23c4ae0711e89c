"""Partners: add them and look them up."""

from __future__ import annotations

from datetime import datetime

from partner_vouchers.domain.events import FieldChange, PartnerAdded
from partner_vouchers.domain.partner import Partner, new_partner
from partner_vouchers.domain.text import require_name
from partner_vouchers.errors import InvalidPartnerName, PartnerExists
from partner_vouchers.ports import Transaction
from partner_vouchers.usecases.wiring import Group, record, require_actor, require_partner


class PartnersGroup(Group):
    """The brands whose codes are given out; reached as `vouchers.partners`."""

    def add(self, name: str, *, actor: str | None = None) -> Partner:
        """Add a partner.

        Args:
            name: any text of 1 to 255 characters without control characters; upper and lower case differ.
            actor: the person who adds it, for the audit log.

        Raises:
            InvalidPartnerName: the name is empty, blank, too long, or contains a control character.
            PartnerExists: there is a partner with exactly this name.

        Example:
            >>> vouchers.partners.add("Amazon").name
            'Amazon'
        """
        actor = require_actor(actor)
        partner = new_partner(name, self._wiring.now())

        def add(tx: Transaction) -> Partner:
            if not add_partner(tx, partner, actor):
                raise PartnerExists(name=partner.name)
            return partner

        return self._wiring.write(add)

    def ensure(self, name: str, *, actor: str | None = None) -> Partner:
        """Return the partner with this name, and add it first if there is none: what a deployment script calls.

        Args:
            name: see `add`.
            actor: the person who adds it, for the audit log.

        Raises:
            InvalidPartnerName: the name is empty, blank, too long, or contains a control character.

        Example:
            >>> vouchers.partners.ensure("Amazon") == vouchers.partners.ensure("Amazon")
            True
        """
        actor = require_actor(actor)
        now = self._wiring.now()
        name = require_name("name", name, InvalidPartnerName)

        known = self._wiring.read(lambda tx: tx.partners.get(name))
        return known or self._wiring.write(ensure_partner, name, actor, now)

    def get(self, name: str) -> Partner:
        """Return the partner with exactly this name.

        Raises:
            UnknownPartner: there is none.
            InvalidPartnerName: no partner can have this name.
        """
        name = require_name("name", name, InvalidPartnerName)
        return self._wiring.read(require_partner, name)

    def all(self) -> list[Partner]:
        """Return all partners, ordered by name."""
        return self._wiring.read(lambda tx: tx.partners.all())


def ensure_partner(tx: Transaction, name: str, actor: str | None, now: datetime) -> Partner:
    """Return the partner with this name, and add it first if there is none."""
    known = tx.partners.get(name)
    if known is not None:
        return known
    partner = new_partner(name, now)
    if add_partner(tx, partner, actor):
        return partner
    # Another process added it just now.
    return tx.partners.get(name) or partner


def add_partner(tx: Transaction, partner: Partner, actor: str | None) -> bool:
    """Store a partner with its event; return False, and store nothing, if the name exists."""
    added = tx.partners.add(partner)
    if added:
        change = FieldChange("partner", None, partner.name)
        record(tx, [PartnerAdded(occurred_at=partner.created_at, changes=(change,))], actor)
    return added
