"""The page: an ASGI application for the people who look after voucher lists (extra `page`).

A host mounts it where it likes, and decides who may see, change and reveal.
"""

try:
    from partner_vouchers.page.app import create_app
    from partner_vouchers.page.basic import basic_authentication
    from partner_vouchers.page.permissions import Authorize, Permission
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError(
        "the page needs Starlette, Jinja2 and python-multipart: install partner-vouchers[page]",
        name=_missing.name,
    ) from _missing

__all__ = ["Authorize", "Permission", "basic_authentication", "create_app"]
