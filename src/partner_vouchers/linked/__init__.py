"""Linked content: what messages take from elsewhere at the moment when they need it.

`partner_vouchers.linked.voucher_list` takes codes from this library, `partner_vouchers.linked.voucherify` from
Voucherify (needs the extra `http`). A source of your own implements `partner_vouchers.ports.linked.LinkedContent`.
"""
