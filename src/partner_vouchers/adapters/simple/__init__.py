"""Parts of an adapter for a small storage. They scan all stored data.

Your subclass loads and stores data; the part implements the rest of its protocol. You can override any method, such as
a look-up for which your storage has an index. That look-up then stays fast when the storage is large.

The methods that you write have the same names in all parts: `stored` returns one object, a method that begins with
`all_` returns all of a kind; `insert` stores a new object, `replace` an existing one, `store` either. The description
of each part also names the methods of the protocol that the subclass must write.

Set the attribute `tx` of each part to its transaction: a part finds the other parts there. For a type checker, name
the type of the transaction: `class Lists(SimpleLists[MyTransaction])`.

**The subclass promises** that a transaction reads what it has stored. A part reads before it writes: that a version is
the expected one, that a tag is free, that a user has no assignment with this ordinal. This is correct if transactions
that write run one after the other, as behind one lock, or if the storage refuses the second of two transactions that
has read data which the first has changed. Otherwise override the method, and make the check a condition of the write.
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
