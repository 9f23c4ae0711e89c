"""Linked content from Voucherify: a code is published to the customer when a message needs it.

Needs the extra `http` and a Voucherify integration key. Sources: Voucherify's API reference, "Create Publication with
GET" and "Errors", and its page "Limits" (https://docs.voucherify.io/docs/limits).
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import quote, urlencode

from partner_vouchers.domain.arguments import (
    require_callable,
    require_count,
    require_instance,
    require_seconds,
)
from partner_vouchers.domain.codes import mask
from partner_vouchers.domain.text import require_name
from partner_vouchers.errors import (
    InvalidInput,
    LinkedContentError,
    VoucherifyCredentialsRefused,
    VoucherifyError,
    VoucherifyNotFound,
    VoucherifyNothingToPublish,
    VoucherifyOutcomeUnknown,
    VoucherifyRateLimited,
    VoucherifyUnreachable,
)
from partner_vouchers.http import HttpClient, NoResponse, Response, check_headers, check_url
from partner_vouchers.linked.publications import Publication, PublicationLog
from partner_vouchers.linked.rate_limit import RateLimit
from partner_vouchers.wire.retry_after import bounded_wait, retry_after

_NOTHING_TO_PUBLISH = "no_voucher_suitable_for_publication"
_FIRST_WAIT = 1.0
_EPOCH_SECONDS = re.compile(r"[0-9]{10,11}")
_WORD = re.compile(r"[\w.:-]{1,100}", re.ASCII)


def _utc_now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the default clock


class Voucherify:
    """A Voucherify account, which threads can share.

    Example:
        >>> from partner_vouchers.linked.rate_limit import RateLimit
        >>> voucherify = Voucherify(
        ...     api_url="https://api.voucherify.io", app_id="app-id", app_token="app-token",
        ...     rate=RateLimit(calls=100, seconds=60),
        ... )
        >>> linked = {"Customer Referral Code": voucherify.campaign("camp_f0bKCWIYyTfOept56g2UMLY7")}
    """

    def __init__(
        self,
        *,
        api_url: str,
        app_id: str,
        app_token: str,
        rate: RateLimit | None = None,
        attempts: int = 3,
        max_wait: float = 30.0,
        log: PublicationLog | None = None,
        log_whole_codes: bool = False,
        http: HttpClient | None = None,
        clock: Callable[[], datetime] = _utc_now,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Set the account and its limits.

        Args:
            api_url: the API endpoint of the project, such as `https://api.voucherify.io`, with or without `/v1`.
            app_id: the App ID of an integration key.
            app_token: the App Token of the same key.
            rate: the rate limit, which all campaigns of this object share; none by default.
            attempts: how often to make a call that gets the status 429, at least 1; no other call is repeated.
            max_wait: the longest wait for the next attempt, in seconds.
            log: is called with a `Publication` after each call. If it raises, the message fails.
            log_whole_codes: whether the log gets whole codes instead of masked ones.
            http: the HTTP client; by default an `HttpClient` with its default time limits.
            clock: returns the present instant.
            sleep: waits for a number of seconds.

        Raises:
            InvalidInput: an argument breaks a rule.
        """
        check_url(api_url, field="api_url")
        if "?" in api_url or "#" in api_url:
            raise InvalidInput(field="api_url", reason="must not contain a query or a fragment")
        self._headers = {
            "X-App-Id": require_name("app_id", app_id),
            "X-App-Token": require_name("app_token", app_token),
            "Content-Type": "application/json",
        }
        check_headers(self._headers, field="app_id and app_token")
        self._url = f"{api_url.rstrip('/').removesuffix('/v1')}/v1/publications/create"
        self._rate = None if rate is None else require_instance("rate", rate, RateLimit)
        self._attempts = require_count("attempts", attempts)
        self._max_wait = require_seconds("max_wait", max_wait)
        self._log = None if log is None else require_callable("log", log)
        self._shown = str if require_instance("log_whole_codes", log_whole_codes, bool) else mask
        self._http = require_instance("http", HttpClient() if http is None else http, HttpClient)
        self._clock = require_callable("clock", clock)
        self._sleep = require_callable("sleep", sleep)

    def campaign(
        self, campaign: str, *, customer_parameter: str = "customersourceid", join_once: bool | None = None
    ) -> VoucherifyContent:
        """Return linked content that publishes codes of a campaign: unique coupons, referral codes, loyalty cards.

        Args:
            campaign: the id or the name of the campaign.
            customer_parameter: the name of the mandatory parameter that contains the customer's source id.
            join_once: whether a customer gets the same code each time. None leaves this to the campaign's own
                setting "customers will be allowed to join the campaign only once".

        Raises:
            InvalidInput: an argument breaks a rule.
        """
        query = {"campaign": require_name("campaign", campaign)}
        return VoucherifyContent(self, query, customer_parameter, join_once)

    def voucher(self, code: str, *, customer_parameter: str = "customersourceid") -> VoucherifyContent:
        """Return linked content that publishes one voucher that belongs to no campaign.

        Args:
            code: the code of the voucher.
            customer_parameter: the name of the mandatory parameter that contains the customer's source id.

        Raises:
            InvalidInput: an argument breaks a rule.
        """
        return VoucherifyContent(self, {"voucher": require_name("code", code)}, customer_parameter, None)

    def publish(self, query: Mapping[str, str], customer: str) -> Mapping[str, object]:
        """Publish a code to a customer; `VoucherifyContent.fetch` calls it.

        Args:
            query: the parameters of the publication except the customer.
            customer: the customer's source id.

        Returns:
            The voucher as Voucherify describes it; `code` is its code.

        Raises:
            InvalidInput: the customer is not a string, or is empty.
            VoucherifyNothingToPublish: the campaign has no voucher left.
            VoucherifyRateLimited: too many calls, also after a wait.
            VoucherifyCredentialsRefused: the keys are not accepted.
            VoucherifyNotFound: there is no such campaign or voucher.
            VoucherifyOutcomeUnknown: Voucherify failed, or its response cannot be read; a code may have been
                published.
            VoucherifyError: Voucherify refused the publication for another reason.
            VoucherifyUnreachable: no response.
        """
        asked = {**query, "customer": require_name("customer", customer)}
        url = f"{self._url}?{urlencode(asked, quote_via=quote)}"
        wait = _FIRST_WAIT
        for attempt in range(1, self._attempts + 1):
            if self._rate is not None:
                self._rate.acquire()
            try:
                return self._ask(url, query, customer)
            except VoucherifyRateLimited as limited:
                wait = limited.retry_after if limited.retry_after is not None else wait * 2
                if attempt == self._attempts or wait > self._max_wait:
                    raise
            if self._rate is not None:
                self._rate.pause(wait)
            else:
                self._sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    def _ask(self, url: str, query: Mapping[str, str], customer: str) -> Mapping[str, object]:
        result = self._http.request("GET", url, headers=self._headers)
        now = self._clock()
        body = _object(result.body) if isinstance(result, Response) else {}
        voucher = body.get("voucher")
        code = _text(voucher.get("code")) if isinstance(voucher, dict) else None
        failure: LinkedContentError | None = None
        if not isinstance(result, Response):
            failure = _unreachable(result)
        elif not result.is_success or code is None:
            code, failure = None, _failure(result, body, now)
        if self._log is not None:
            is_unknown = isinstance(failure, VoucherifyOutcomeUnknown) or getattr(failure, "sent", False)
            self._log(
                Publication(
                    at=now,
                    campaign=query.get("campaign"),
                    customer=customer,
                    published=None if is_unknown else failure is None,
                    code=None if code is None else self._shown(code),
                    status=getattr(result, "status", None),
                    key=getattr(failure, "key", None),
                    publication_id=_text(body.get("id")),
                    request_id=getattr(failure, "request_id", None),
                )
            )
        if failure is not None:
            raise failure
        return cast(Mapping[str, object], voucher)


class VoucherifyContent:
    """Linked content from one Voucherify campaign or voucher; `Voucherify.campaign` and `voucher` create it."""

    def __init__(
        self, account: Voucherify, query: Mapping[str, str], customer_parameter: str, join_once: bool | None
    ) -> None:
        self._account = account
        self._query = dict(query)
        self._customer_parameter = require_name("customer_parameter", customer_parameter)
        if join_once not in (None, True, False):
            raise InvalidInput(field="join_once", reason="must be True, False or None")
        if join_once is not None:
            self._query["join_once"] = "true" if join_once else "false"

    @property
    def parameters(self) -> frozenset[str]:
        """The one mandatory parameter, which contains the customer's source id."""
        return frozenset({self._customer_parameter})

    def fetch(self, parameters: Mapping[str, str]) -> Mapping[str, object]:
        """Publish a code to the customer; see `Voucherify.publish`."""
        return self._account.publish(self._query, parameters[self._customer_parameter])


def _unreachable(result: NoResponse) -> VoucherifyUnreachable:
    consequence = "a code may have been published" if result.sent else "nothing was published"
    reason = f"no response from Voucherify: {result.reason}; {consequence}"
    return VoucherifyUnreachable(sent=result.sent, reason=reason)


def _failure(response: Response, body: Mapping[str, object], now: datetime) -> VoucherifyError:
    """Return the error for a response without a voucher, with what Voucherify's error object says, if there is one."""
    status = response.status
    facts: dict[str, Any] = {
        "status": status,
        "key": _word(body.get("key")),
        "message": _text(body.get("message")),
        "details": _text(body.get("details")),
        "request_id": _word(body.get("request_id")),
    }
    if response.is_success:
        why = response.body_error or "the response has no voucher code"
        return VoucherifyOutcomeUnknown(reason=f"{why}; a code may have been published", **facts)
    if status >= 500:
        return VoucherifyOutcomeUnknown(reason="Voucherify failed; a code may have been published", **facts)
    if status == 429:
        wait = _wait(response.headers, now.timestamp())
        return VoucherifyRateLimited(retry_after=wait, reason="too many calls; make fewer, or wait", **facts)
    if status in (401, 403):
        reason = "the App ID and App Token are not accepted for publications; create an integration key"
        return VoucherifyCredentialsRefused(reason=reason, **facts)
    if facts["key"] == _NOTHING_TO_PUBLISH:
        reason = "no voucher is left to publish; add some, or let the campaign update itself"
        return VoucherifyNothingToPublish(reason=reason, **facts)
    if status == 404:
        return VoucherifyNotFound(reason="there is no such campaign or voucher; check its id", **facts)
    if status == 402:
        return VoucherifyError(reason="the limit of the Voucherify plan is used up", **facts)
    if status < 400:
        return VoucherifyError(reason="redirects are not followed; check api_url", **facts)
    return VoucherifyError(reason="the publication was refused; see `message` and `details`", **facts)


def _object(body: bytes) -> dict[str, Any]:
    try:
        found: object = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _word(value: object) -> str | None:
    """Return a value that is safe in an error message: an identifier, never free text."""
    return value if isinstance(value, str) and _WORD.fullmatch(value) else None


def _wait(headers: Mapping[str, str], now: float) -> float | None:
    """Return how many seconds Voucherify asks to wait, or None."""
    wait = retry_after(headers.get("retry-after"), now)
    for name in ("x-rate-limit-retry", "x-rate-limit-reset"):
        value = headers.get(name, "").strip()
        if wait is None and _EPOCH_SECONDS.fullmatch(value):
            wait = bounded_wait(float(value) - now)
    return wait
