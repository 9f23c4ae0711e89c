"""Linked content from Voucherify: a code is published to the customer when a message looks for it.

Voucherify's API reference, "Create Publication with GET" and "Errors", is the source of the requests, the answers
and the error object. Needs the extra `http`, and keys of Voucherify that are made for an integration.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

from partner_vouchers.domain.codes import mask
from partner_vouchers.domain.text import require_name
from partner_vouchers.errors import (
    InvalidInput,
    LinkedContentError,
    VoucherifyCredentialsRefused,
    VoucherifyError,
    VoucherifyNotFound,
    VoucherifyNothingToPublish,
    VoucherifyRateLimited,
    VoucherifyUnreachable,
)
from partner_vouchers.httpclient import Answer, HttpClient, NoAnswer, NotSent, check_headers, check_url
from partner_vouchers.linked.publications import Publication, PublicationLog
from partner_vouchers.linked.rate_limit import RateLimit, is_count, is_positive

_NOTHING_TO_PUBLISH = "no_voucher_suitable_for_publication"
_FIRST_WAIT = 1.0
_WORD = re.compile(r"[\w.:-]{1,100}", re.ASCII)


def _utc_now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the default of a clock that can be handed in


class Voucherify:
    """An account of Voucherify; threads may share it.

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
        """Name the account and how it is used.

        Args:
            api_url: the API endpoint of the project, such as `https://api.voucherify.io`, with or without `/v1`.
            app_id: the App ID of an integration key.
            app_token: its App Token.
            rate: the limit of calls; none by default. All campaigns of this object share it.
            attempts: how often a call is made that is answered 429, at least once; no other call is repeated.
            max_wait: how many seconds to wait for the next attempt at most.
            log: gets a `Publication` for each call. What it raises fails the message.
            log_whole_codes: whether the log gets codes whole instead of masked.
            http: the client with its time limits; an `HttpClient()` by default.
            clock: returns the present instant, for the log.
            sleep: waits for so many seconds.

        Raises:
            InvalidInput: the URL is not https, the App ID or App Token is empty or cannot stand in a header, or a
                number breaks its rule.
        """
        check_url(api_url, field="api_url")
        if "?" in api_url or "#" in api_url:
            raise InvalidInput(field="api_url", reason="must end before `?` or `#`")
        if not is_count(attempts):
            raise InvalidInput(field="attempts", reason="must be a whole number, at least 1")
        if not is_positive(max_wait):
            raise InvalidInput(field="max_wait", reason="must be a positive number of seconds")
        self._headers = {
            "X-App-Id": require_name("app_id", app_id),
            "X-App-Token": require_name("app_token", app_token),
            "Content-Type": "application/json",
        }
        check_headers(self._headers, field="app_id and app_token")
        self._url = f"{api_url.rstrip('/').removesuffix('/v1')}/v1/publications/create"
        self._rate = rate
        self._attempts = attempts
        self._max_wait = max_wait
        self._log = log
        self._shown = str if log_whole_codes else mask
        self._http = http or HttpClient()
        self._clock = clock
        self._sleep = sleep

    def campaign(
        self, campaign: str, *, customer_parameter: str = "customersourceid", join_once: bool | None = None
    ) -> VoucherifyContent:
        """Return linked content that publishes codes of a campaign: unique coupons, referral codes, loyalty cards.

        Args:
            campaign: the id or the name of the campaign.
            customer_parameter: which parameter holds the customer's source id. It is mandatory.
            join_once: whether a customer gets the same code each time; None leaves that to the campaign's own
                setting "customers will be allowed to join the campaign only once".

        Raises:
            InvalidInput: the campaign is no text, or has nothing in it.
        """
        query = {"campaign": require_name("campaign", campaign)}
        return VoucherifyContent(self, query, customer_parameter, join_once)

    def voucher(self, code: str, *, customer_parameter: str = "customersourceid") -> VoucherifyContent:
        """Return linked content that publishes one voucher that belongs to no campaign.

        Args:
            code: the code of the voucher.
            customer_parameter: which parameter holds the customer's source id. It is mandatory.

        Raises:
            InvalidInput: the code is no text, or has nothing in it.
        """
        return VoucherifyContent(self, {"voucher": require_name("code", code)}, customer_parameter, None)

    def publish(self, query: Mapping[str, str], customer: str) -> Mapping[str, object]:
        """Publish a code to a customer; `VoucherifyContent.fetch` calls it.

        Returns:
            The voucher as Voucherify describes it; `code` is its code.

        Raises:
            InvalidInput: the customer is no text, or has nothing in it.
            VoucherifyNothingToPublish: the campaign has no voucher left.
            VoucherifyRateLimited: too many calls, also after waiting.
            VoucherifyCredentialsRefused: the keys are not accepted.
            VoucherifyNotFound: there is no such campaign or voucher.
            VoucherifyError: anything else that Voucherify refuses.
            VoucherifyUnreachable: no answer.
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
        answer = self._http.request("GET", url, headers=self._headers)
        voucher: Mapping[str, object] = {}
        publication_id: str | None = None
        failure: LinkedContentError | None = None
        match answer:
            case Answer(status=status) if 200 <= status < 300:
                body = _object(answer.body)
                publication_id = _text(body.get("id"))
                found = body.get("voucher")
                if isinstance(found, dict) and _text(found.get("code")):
                    voucher = found
                else:
                    failure = VoucherifyError(status=status, reason="the answer has no voucher code")
            case Answer():
                failure = _refusal(answer)
            case NotSent() | NoAnswer():
                sent = isinstance(answer, NoAnswer)
                reason = f"no answer from Voucherify: {answer.reason}"
                failure = VoucherifyUnreachable(sent=sent, reason=reason)
        if self._log is not None:
            code = _text(voucher.get("code"))
            self._log(
                Publication(
                    at=self._clock(),
                    campaign=query.get("campaign"),
                    customer=customer,
                    published=failure is None,
                    code=None if code is None else self._shown(code),
                    status=getattr(answer, "status", None),
                    key=getattr(failure, "key", None),
                    publication_id=publication_id,
                    request_id=getattr(failure, "request_id", None),
                )
            )
        if failure is not None:
            raise failure
        return voucher


class VoucherifyContent:
    """Codes of one campaign of Voucherify, or one voucher, as linked content; made by `Voucherify`."""

    def __init__(
        self, account: Voucherify, query: Mapping[str, str], customer_parameter: str, join_once: bool | None
    ) -> None:
        self._account = account
        self._query = dict(query)
        self._customer_parameter = customer_parameter
        if join_once is not None:
            self._query["join_once"] = str(join_once).lower()

    @property
    def parameters(self) -> frozenset[str]:
        """The one mandatory parameter, which holds the customer's source id."""
        return frozenset({self._customer_parameter})

    def fetch(self, parameters: Mapping[str, str]) -> Mapping[str, object]:
        """Publish a code to the customer; see `Voucherify.publish`."""
        return self._account.publish(self._query, parameters[self._customer_parameter])


def _refusal(answer: Answer) -> VoucherifyError:
    """Return the error for an answer with Voucherify's error object, or with something else in its place."""
    body = _object(answer.body)
    facts: dict[str, Any] = {
        "status": answer.status,
        "key": _word(body.get("key")),
        "message": _text(body.get("message")),
        "details": _text(body.get("details")),
        "request_id": _word(body.get("request_id")),
    }
    if answer.status == 429:
        retry_after = _seconds(answer.headers.get("retry-after"))
        reason = "too many calls; make fewer, or wait"
        return VoucherifyRateLimited(retry_after=retry_after, reason=reason, **facts)
    if answer.status in (401, 403):
        reason = "the App ID and App Token are not accepted for publications; make an integration key"
        return VoucherifyCredentialsRefused(reason=reason, **facts)
    if answer.status == 402:
        return VoucherifyError(reason="the limit of the Voucherify plan is used up", **facts)
    if facts["key"] == _NOTHING_TO_PUBLISH:
        reason = "no voucher is left to publish; add some, or let the campaign update itself"
        return VoucherifyNothingToPublish(reason=reason, **facts)
    if answer.status == 404:
        return VoucherifyNotFound(reason="there is no such campaign or voucher; check its id", **facts)
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
    """Return what may stand in the text of an error: a name, and nothing that somebody wrote."""
    return value if isinstance(value, str) and _WORD.fullmatch(value) else None


def _seconds(header: str | None) -> float | None:
    # Also allowed is a date, which says nothing where two clocks differ.
    return float(header) if header is not None and header.isdecimal() else None
