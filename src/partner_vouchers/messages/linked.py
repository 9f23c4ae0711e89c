"""`Linked` in a template: content that is looked up when the message needs it."""

from __future__ import annotations

from collections.abc import Mapping

from liquid import Token

from partner_vouchers.errors import (
    LinkedContentError,
    NoLinkedContent,
    ParameterMissing,
    PartnerVouchersError,
)
from partner_vouchers.ports.linked import LinkedContent


class UnknownLinked(Exception):
    """The template names linked content that `render` did not get."""

    def __init__(self, name: object) -> None:
        super().__init__()
        self.name: str = str(name)
        self.token: Token | None = None


class FetchFailed(Exception):
    """A source failed; `cause` is None if it raised an error whose text may hold a secret."""

    def __init__(self, name: str, cause: PartnerVouchersError | None) -> None:
        super().__init__()
        self.name: str = name
        self.cause: PartnerVouchersError | None = cause
        self.token: Token | None = None


class Linked:
    """The linked content of one message. It is no mapping: only a name leads to a source.

    Attributes:
        nothing: the sources that have nothing for this user, and what they said.
    """

    def __init__(self, sources: Mapping[str, LinkedContent], parameters: Mapping[str, str]) -> None:
        self.nothing: dict[str, NoLinkedContent] = {}
        self._sources = sources
        self._parameters = parameters
        self._found: dict[str, Mapping[str, object]] = {}

    def __str__(self) -> str:
        return ""

    def __getitem__(self, name: object) -> Mapping[str, object]:
        if not isinstance(name, str) or name not in self._sources:
            raise UnknownLinked(name)
        if name in self.nothing:
            raise KeyError(name)
        if name not in self._found:
            self._found[name] = self._fetch(name)
        return self._found[name]

    def _fetch(self, name: str) -> Mapping[str, object]:
        source = self._sources[name]
        try:
            for parameter in sorted(source.parameters):
                if not self._parameters.get(parameter):
                    raise ParameterMissing(parameter=parameter)
            found: object = source.fetch(self._parameters)
            if not isinstance(found, Mapping):
                raise LinkedContentError(reason="the source returned no mapping")
        except NoLinkedContent as nothing:
            self.nothing[name] = nothing
            raise KeyError(name) from None
        except PartnerVouchersError as error:
            raise FetchFailed(name, error) from None
        except Exception:  # noqa: BLE001 - a host's source may raise anything
            raise FetchFailed(name, None) from None
        return found
