"""Basic authentication, for a page that is served on its own."""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.requests import Request

from partner_vouchers.domain.arguments import require_instance, require_mapping
from partner_vouchers.page.permissions import Authorize, Permission


def basic_authentication(passwords: Mapping[str, str]) -> Authorize:
    """Return an `authorize` that asks for a name and a password; who knows them may do everything.

    The browser sends the password with each request, so serve the page over HTTPS, or on this machine only.

    Args:
        passwords: the password of each name. An empty one is never accepted.

    Raises:
        InvalidInput: it is no mapping of strings to strings.

    Example:
        >>> from partner_vouchers.page import basic_authentication, create_app
        >>> app = create_app(vouchers, authorize=basic_authentication({"asha": "correct horse battery"}))
    """
    known = dict(require_mapping("passwords", passwords))
    for each in (*known, *known.values()):
        require_instance("passwords", each, str)

    def authorize(request: Request, permission: Permission) -> str:
        del permission
        scheme, _, sent = request.headers.get("authorization", "").partition(" ")
        try:
            name, _, password = base64.b64decode(sent, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            name = password = ""
        expected = known.get(name, "")
        if (
            scheme.lower() == "basic"
            and expected
            and secrets.compare_digest(password.encode(), expected.encode())
        ):
            return name
        raise HTTPException(
            401, "A name and a password are needed.", {"WWW-Authenticate": 'Basic realm="vouchers"'}
        )

    return authorize
