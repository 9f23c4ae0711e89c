"""Personalised messages: Liquid templates over an event, a user's profile and linked content."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, tzinfo
from typing import Literal, TypeVar

from liquid import Environment, Token, TokenStream
from liquid.token import TOKEN_EOF

from partner_vouchers.domain.arguments import require_mapping, require_zone
from partner_vouchers.errors import InvalidInput, MessageError, PartnerVouchersError
from partner_vouchers.messages.checking import Finding, Names, findings, syntax_finding
from partner_vouchers.messages.engine import Aborted, Program, Stopped, environment
from partner_vouchers.messages.failures import parsing_failure, rendering_failure
from partner_vouchers.messages.lexer import tokenize
from partner_vouchers.messages.limits import MAX_SOURCE
from partner_vouchers.messages.linked import Linked
from partner_vouchers.messages.outcomes import Failed, HasProperties, Outcome, Recipient, Rendered, Skipped
from partner_vouchers.ports.linked import LinkedContent

T = TypeVar("T")


class MessageTemplate:
    """A Liquid template: parse it once and render it for as many users as you like. Threads may share it.

    In the template, `Event` has the properties of the event under their wire names, `Profile` has those of the user,
    and `Linked` has content that is looked up when the message needs it. A missing property is an error, unless the
    template names a replacement: `{{ Profile.name | default: 'there' }}`.

    The filter `date` reads ISO 8601, the `DD-MM-YYYY HH:MM:SS` of coupon events, and seconds since 1970. It shows
    instants in `zone`. There is no `now`. `{% abort %}` skips the message.

    Example:
        >>> template = MessageTemplate("{{ Profile.name | default: 'Hi' }}, {{ Event.partner }} has a gift for you")
        >>> template.render(event={"partner": "Puma"}, profile={"name": "Asha"})
        'Asha, Puma has a gift for you'
        >>> template.render(event={"partner": "Puma"})
        'Hi, Puma has a gift for you'
    """

    def __init__(self, source: str, escape: Literal["html"] | None = None, zone: tzinfo = UTC) -> None:
        """Parse a template.

        Args:
            source: the template, at most `MAX_SOURCE` characters.
            escape: `"html"` escapes all values for a message in HTML; None leaves them as they are.
            zone: the time zone in which the filter `date` shows instants. Zones of `zoneinfo`, `dateutil` and `pytz`
                work.

        Raises:
            MessageError: the template is too long, its syntax is wrong, or a filter does not exist or does not take
                its arguments.
            InvalidInput: `escape` is neither `"html"` nor None, `source` is not a string, or `zone` is not a time zone.

        Example:
            >>> from zoneinfo import ZoneInfo
            >>> until = MessageTemplate("{{ Event.listExpiry | date: '%d %B, %H:%M' }}", zone=ZoneInfo("Asia/Kolkata"))
            >>> until.render(event={"listExpiry": "2027-03-31T18:30:00Z"})
            '01 April, 00:00'
            >>> MessageTemplate("Hi {% nme %}")
            Traceback (most recent call last):
            partner_vouchers.errors.MessageError: message template: line 1: unexpected tag 'nme'
        """
        if escape not in ("html", None):
            raise InvalidInput(field="escape", reason="must be 'html' or None")
        if not isinstance(source, str):
            raise InvalidInput(field="source", reason="must be a string")
        _check_zone(zone)
        if len(source) > MAX_SOURCE:
            raise MessageError(reason=f"longer than {MAX_SOURCE} characters; shorten it")
        self._source = source
        self._program = _parse(source, environment(autoescape=escape == "html"), zone)

    def check(
        self,
        *,
        event: Names | None = None,
        profile: Iterable[str] | None = None,
        linked: Iterable[str] | None = None,
    ) -> list[Finding]:
        """Find mistakes in the template without rendering it.

        It finds unknown names and properties, and valid syntax that is probably a mistake: `{% else if %}`, branches
        behind an `else`, `x == "a" or "b"`, a `default` behind a filter that fails first, patterns with which `date`
        fails. Names that depend on a value, such as `Event[Profile.favourite]`, are not checked.

        Args:
            event: the event, its class (such as `VoucherRewarded`), or the names of its properties. None skips the
                check of these names, as for the other arguments.
            profile: the names of the profile's properties.
            linked: the names of the linked content, or what `render` will get as `linked`.

        Returns:
            The first 100 findings, in the order of the template. The list is empty if there are none.

        Raises:
            InvalidInput: an argument has no names.

        Example:
            >>> from partner_vouchers.domain.promo_events import VoucherRewarded
            >>> template = MessageTemplate("{{ Event.vouchercode }}")
            >>> for finding in template.check(event=VoucherRewarded):
            ...     print(finding.line, finding.column, finding.message)
            1 4 Event has no property 'vouchercode'; did you mean 'voucherCode'?
        """
        return findings(self._program, self._source, event=event, profile=profile, linked=linked)

    @staticmethod
    def check_source(
        source: str,
        *,
        event: Names | None = None,
        profile: Iterable[str] | None = None,
        linked: Iterable[str] | None = None,
    ) -> list[Finding]:
        """Find mistakes in the source of a template, also those of its syntax.

        Args:
            source: the template.
            event: as in `check`.
            profile: as in `check`.
            linked: as in `check`.

        Returns:
            The error of the syntax alone, or else what `check` finds.

        Raises:
            InvalidInput: an argument has no names, or `source` is not a string.

        Example:
            >>> MessageTemplate.check_source("Hi {{ Profile.name")[0].message
            "expected '}}', found end of file"
        """
        try:
            template = MessageTemplate(source)
        except MessageError as error:
            return [syntax_finding(error)]
        return template.check(event=event, profile=profile, linked=linked)

    def render(
        self,
        *,
        event: HasProperties | Mapping[str, object],
        profile: Mapping[str, object] | None = None,
        linked: Mapping[str, LinkedContent] | None = None,
        parameters: Mapping[str, str] | None = None,
    ) -> str | None:
        """Return the message to one user.

        Args:
            event: the event, such as `reward.event`, or the properties of an event.
            profile: the properties of the user.
            linked: the sources of linked content, each under the name that the template uses.
            parameters: the parameters of these sources, such as `user_id`.

        Returns:
            The message, or None if the template skips it with `{% abort %}`.

        Raises:
            InvalidInput: `event` is neither an event nor a mapping of properties, or another argument is no mapping.
            LinkedContentFailed: a source of linked content failed.
            MessageError: a property is missing, a filter fails, or a limit is reached.
        """
        try:
            return self._render(event, _given(profile), _given(linked), _given(parameters))
        except Aborted:
            return None

    def render_many(
        self, recipients: Iterable[Recipient], *, linked: Mapping[str, LinkedContent] | None = None
    ) -> Iterator[Outcome]:
        """Render the message to each of many users.

        Each message is rendered when the iterator reaches it. A message that fails does not stop the others.

        Args:
            recipients: the users.
            linked: as in `render`.

        Returns:
            An iterator with an outcome for each recipient, in their order.

        Example:
            >>> template = MessageTemplate("{% if Profile.muted %}{% abort 'muted' %}{% endif %}Hi {{ Profile.name }}")
            >>> users = [
            ...     Recipient(user_id="u1", profile={"name": "Asha", "muted": False}),
            ...     Recipient(user_id="u2", profile={"name": "Ravi", "muted": True}),
            ...     Recipient(user_id="u3", profile={"muted": False}),
            ... ]
            >>> for outcome in template.render_many(users):
            ...     match outcome:
            ...         case Rendered(user_id, message):
            ...             print(user_id, message)
            ...         case Skipped(user_id, reason):
            ...             print(user_id, "skipped:", reason)
            ...         case Failed(user_id, error):
            ...             print(user_id, "failed")
            u1 Hi Asha
            u2 skipped: muted
            u3 failed
        """
        sources = _given(linked)
        for each in recipients:
            parameters = {"user_id": each.user_id, **each.parameters}
            try:
                yield Rendered(each.user_id, self._render(each.event, each.profile, sources, parameters))
            except Aborted as aborted:
                yield Skipped(each.user_id, aborted.reason)
            except PartnerVouchersError as error:
                yield Failed(each.user_id, error)

    def _render(
        self,
        event: HasProperties | Mapping[str, object],
        profile: Mapping[str, object],
        sources: Mapping[str, LinkedContent],
        parameters: Mapping[str, str],
    ) -> str:
        for argument, given in (("profile", profile), ("linked", sources), ("parameters", parameters)):
            require_mapping(argument, given)
        if not all(isinstance(name, str) for name in sources):
            raise InvalidInput(field="linked", reason="must have strings as names")
        linked = Linked(sources, parameters)
        names = {"Event": _properties(event), "Profile": profile, "Linked": linked}
        try:
            return self._program.run(names)
        except Stopped as stopped:
            failure = rendering_failure(stopped, linked, list(sources))
        # Raised outside of `except`: the engine's error may quote the voucher code, so it is not chained.
        raise failure


def _given(argument: Mapping[str, T] | None) -> Mapping[str, T]:
    return {} if argument is None else argument


def _check_zone(zone: object) -> None:
    found = require_zone(zone)
    # A host's zone may raise anything.
    with suppress(Exception):
        datetime(2026, 1, 1, tzinfo=UTC).astimezone(found)
        return
    raise InvalidInput(field="zone", reason="must be a time zone, such as zoneinfo.ZoneInfo('Asia/Kolkata')")


def _properties(event: object) -> Mapping[str, object]:
    if isinstance(event, Mapping):
        return event
    ask = getattr(event, "properties", None)
    found: object = None
    if callable(ask) and not isinstance(event, type):
        # A host's event may raise anything, with the voucher code in its text.
        with suppress(Exception):
            found = ask()
    if not isinstance(found, Mapping):
        raise InvalidInput(field="event", reason="must be an event, such as reward.event, or its properties")
    return found


def _parse(source: str, env: Environment, zone: tzinfo) -> Program:
    # As `Environment.from_string`, but with access to the stream: errors at the end of an expression have no place.
    stream: TokenStream | None = None
    try:
        stream = TokenStream(tokenize(source))
        return Program(stream, env, zone)
    except Exception as error:  # noqa: BLE001 - the engine raises more than its own errors
        failure = parsing_failure(error, _reached(source, stream))
    raise failure


def _reached(source: str, stream: TokenStream | None) -> Token | None:
    """Return the token at which parsing stopped."""
    if stream is None:
        return None
    if stream.pos >= len(stream.tokens):
        return Token(TOKEN_EOF, "", len(source.rstrip()), source)
    return stream.tokens[max(stream.pos - 1, 0)]
