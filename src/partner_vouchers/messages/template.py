"""Personalised messages: Liquid templates over an event, a user's profile and linked content."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Literal

from liquid import Environment, Token, TokenStream
from liquid.token import TOKEN_EOF

from partner_vouchers.errors import InvalidInput, MessageError, PartnerVouchersError
from partner_vouchers.messages.checking import Finding, Names, findings, syntax_finding
from partner_vouchers.messages.engine import Aborted, Program, Stopped, environment
from partner_vouchers.messages.failures import parsing_failure, rendering_failure
from partner_vouchers.messages.lexer import tokenize
from partner_vouchers.messages.limits import MAX_SOURCE
from partner_vouchers.messages.linked import Linked
from partner_vouchers.messages.outcomes import (
    Failed,
    HasProperties,
    Outcome,
    Recipient,
    Rendered,
    Skipped,
)
from partner_vouchers.ports.linked import LinkedContent

_NOTHING: Mapping[str, str] = {}


class MessageTemplate:
    """A Liquid template, parsed once and rendered for as many users as needed; threads may share it.

    In the template, `Event` holds the properties of the event under their wire names, `Profile` what the host
    knows about the user, and `Linked` content that is looked up when the template looks at it. A property that is
    not there is an error, unless the template says what to put in its place:
    `{{ Profile.name | default: 'there' }}`.

    The filter `date` reads an ISO 8601 date, the `DD-MM-YYYY HH:MM:SS` of coupon events, or seconds since 1970,
    which it shows in UTC. There is no `now`. `{% abort %}` skips the message.

    Example:
        >>> template = MessageTemplate("{{ Profile.name | default: 'Hi' }}, {{ Event.partner }} has a gift for you")
        >>> template.render(event={"partner": "Puma"}, profile={"name": "Asha"})
        'Asha, Puma has a gift for you'
        >>> template.render(event={"partner": "Puma"})
        'Hi, Puma has a gift for you'
    """

    def __init__(self, source: str, escape: Literal["html"] | None = None) -> None:
        """Parse a template.

        Args:
            source: the template.
            escape: `"html"` escapes all values for a message in HTML; None leaves them as they are.

        Raises:
            MessageError: the template is too long, its syntax is wrong, or it uses a filter that there is not.
            InvalidInput: `escape` is neither `"html"` nor None, or the source is not a text.

        Example:
            >>> MessageTemplate("Hi {% nme %}")
            Traceback (most recent call last):
            partner_vouchers.errors.MessageError: message template: line 1: unexpected tag 'nme'
        """
        if escape not in ("html", None):
            raise InvalidInput(field="escape", reason="must be 'html' or None")
        if not isinstance(source, str):
            raise InvalidInput(field="source", reason="must be a text")
        if len(source) > MAX_SOURCE:
            raise MessageError(reason=f"longer than {MAX_SOURCE} characters; shorten it")
        self._source = source
        self._program = _parse(source, environment(autoescape=escape == "html"))

    def check(
        self,
        *,
        event: Names | None = None,
        profile: Iterable[str] | None = None,
        linked: Iterable[str] | None = None,
    ) -> list[Finding]:
        """Find what is wrong with the names in the template, without rendering it.

        Names that a value decides, such as `Event[Profile.favourite]`, cannot be checked.

        Args:
            event: whose properties `Event` has: a class such as `VoucherRewarded`, an event, or the names.
            profile: the names that `Profile` has.
            linked: the names of the linked content, or what `render` will get as `linked`.
                What is None is not checked.

        Returns:
            The findings in the order of the template, the first 100; none when all is well.

        Raises:
            InvalidInput: an argument cannot tell names.

        Example:
            >>> from partner_vouchers.domain.promo_events import VoucherRewarded
            >>> template = MessageTemplate("{{ Event.vouchercode }}")
            >>> for finding in template.check(event=VoucherRewarded):
            ...     print(finding.line, finding.column, finding.message)
            1 4 Event has no property 'vouchercode'; did you mean 'voucherCode'?
        """
        template = self._program.template
        return findings(template, self._source, event=event, profile=profile, linked=linked)

    @staticmethod
    def check_source(
        source: str,
        *,
        event: Names | None = None,
        profile: Iterable[str] | None = None,
        linked: Iterable[str] | None = None,
    ) -> list[Finding]:
        """Find what is wrong with a template that may not even be one: as `check`, and its syntax.

        Raises:
            InvalidInput: an argument cannot tell names, or the source is not a text.

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
            event: what happened, such as the `event` of a reward, or the properties of an event.
            profile: what is known about the user.
            linked: the sources of linked content, each under the name that the template uses.
            parameters: what those sources need to know, such as whose code it shall be.

        Returns:
            The message, or None where the template says `{% abort %}`.

        Raises:
            InvalidInput: `event` is neither an event nor a mapping of properties.
            LinkedContentFailed: linked content could not be had.
            MessageError: the template uses a property that is not there, a filter fails, or a limit is hit.
        """
        try:
            return self._render(event, profile or {}, linked or {}, parameters or _NOTHING)
        except Aborted:
            return None

    def render_many(
        self, recipients: Iterable[Recipient], *, linked: Mapping[str, LinkedContent] | None = None
    ) -> Iterator[Outcome]:
        """Render the message to each of many users, one by one as the caller asks for them.

        A message that fails does not stop the others.

        Args:
            recipients: the users.
            linked: as in `render`.

        Returns:
            An outcome for each recipient, in their order.

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
        sources = linked or {}
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
            if not isinstance(given, Mapping):
                raise InvalidInput(field=argument, reason="must be a mapping")
        linked = Linked(sources, parameters)
        names = {"Event": _properties(event), "Profile": profile, "Linked": linked}
        try:
            return self._program.run(names)
        except Stopped as stopped:
            failure = rendering_failure(stopped, linked, list(sources))
        # Raised outside of `except`: the engine's error may quote the voucher code, so it is not chained.
        raise failure


def _properties(event: object) -> Mapping[str, object]:
    if isinstance(event, Mapping):
        return event
    tell = getattr(event, "properties", None)
    found: object = None
    if callable(tell) and not isinstance(event, type):
        # A host's event may raise anything, with the voucher code in its text.
        with suppress(Exception):
            found = tell()
    if not isinstance(found, Mapping):
        raise InvalidInput(field="event", reason="must be an event, or a mapping of its properties")
    return found


def _parse(source: str, env: Environment) -> Program:
    # What `Environment.from_string` does, but with the stream in hand: errors at the end of an expression do
    # not tell where they are.
    stream: TokenStream | None = None
    try:
        stream = TokenStream(tokenize(source))
        return Program(stream, env)
    except Exception as error:  # noqa: BLE001 - the engine raises more than its own errors
        failure = parsing_failure(error, _reached(source, stream))
    raise failure


def _reached(source: str, stream: TokenStream | None) -> Token | None:
    """Return where parsing stopped."""
    if stream is None:
        return None
    if stream.pos >= len(stream.tokens):
        return Token(TOKEN_EOF, "", len(source.rstrip()), source)
    return stream.tokens[max(stream.pos - 1, 0)]
