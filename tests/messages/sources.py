"""Linked content for tests of messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Source:
    """A source that answers as it is told, and remembers what it was asked.

    Attributes:
        parameters: the mandatory ones.
        asked: the parameters of each call.
    """

    def __init__(
        self,
        answer: Any,
        name: str = "",
        log: list[str] | None = None,
        mandatory: frozenset[str] = frozenset(),
    ) -> None:
        self.parameters = mandatory
        self.asked: list[dict[str, str]] = []
        self._answer = answer
        self._name = name
        self._log = log

    def fetch(self, parameters: Mapping[str, str]) -> Mapping[str, object]:
        self.asked.append(dict(parameters))
        if self._log is not None:
            self._log.append(self._name)
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer  # type: ignore[no-any-return]
