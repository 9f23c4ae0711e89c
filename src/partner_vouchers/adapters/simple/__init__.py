"""Parts of an adapter for a storage that is small enough to look at everything.

The subclass loads and stores data; the part implements the rest of its protocol. Any method can
be overridden, such as a look-up for which the storage has an index. It then costs no more when the
storage is large.

The methods that you write have the same names in all parts: `stored` returns one object, a method that begins with
`all_` returns all of a kind; `insert` stores a new object, `replace` an existing one, `store` either. The description
of each part also names the methods of the protocol that the subclass must write.

A part that asks other parts has the attribute `tx`, the transaction, which the subclass sets. For a type checker it is
of the type that the subclass says: `class Lists(SimpleLists[MyTransaction])`.

**What the subclass promises.** What a transaction has stored, it reads back. A part reads before it writes: that a
version is the one expected, that a tag is free, that a user has no such ordinal. That is right where transactions that
write come one after the other, as behind one lock, or where the storage refuses one of two of which the second has read
what the first has changed. Otherwise the subclass makes the check a condition of its write.
"""

from partner_vouchers.adapters.simple.assignments import SimpleAssignments
from partner_vouchers.adapters.simple.deliveries import SimpleDeliveries
from partner_vouchers.adapters.simple.imports import SimpleImport
from partner_vouchers.adapters.simple.joined import JoinedStorage
from partner_vouchers.adapters.simple.leases import SimpleLeases
from partner_vouchers.adapters.simple.lists import SimpleCampaigns, SimpleLists
from partner_vouchers.adapters.simple.uploads import SimpleUploads

__all__ = [
    "JoinedStorage",
    "SimpleAssignments",
    "SimpleCampaigns",
    "SimpleDeliveries",
    "SimpleImport",
    "SimpleLeases",
    "SimpleLists",
    "SimpleUploads",
]
