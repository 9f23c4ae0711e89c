"""Linked content: objects that a message takes from elsewhere when it needs them.

`partner_vouchers.linked.voucher_list` assigns codes of this library, `partner_vouchers.linked.voucherify` publishes
codes of Voucherify (needs the extra `http`). Your own source implements `partner_vouchers.ports.linked.LinkedContent`.
"""
