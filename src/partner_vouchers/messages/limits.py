"""How much a template may do. It is input from outside the program, so everything it does has a bound.

One budget holds for a whole message, since many small things cost as much as a big one. It counts in units of
work: each piece of a template that is gone through costs `STEP`, and each character or element of a value costs
one unit whenever it is read, passed to a filter, returned by one or kept in a variable.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from decimal import Decimal

from liquid import Token
from liquid.builtin.tags.for_tag import ForLoop
from liquid.builtin.tags.tablerow_tag import TableRow
from liquid.undefined import StrictDefaultUndefined

MAX_SOURCE = 100_000
"""The length of the longest template, in characters."""

MAX_EXPRESSION = 1_000
"""The length of the longest `{{ }}` or `{% %}`, and of a line of `{% liquid %}`, in characters."""

MAX_NESTING = 30
"""How deep blocks may stand within one another."""

MAX_MESSAGE = 1_000_000
"""How many characters a message may have, with what it captures on the way."""

MAX_LOOP_ITERATIONS = 10_000
"""How often the loops of a template may go round, all in all; also the longest range."""

MAX_VALUE = 100_000
"""The size of the largest value that a filter returns, in characters or elements."""

MAX_VARIABLES = 200_000
"""The size of all variables of a template together, in characters and elements."""

MAX_NUMBER_BITS = 256
"""The size of the largest whole number, in bits."""

MAX_WORK = 1_000_000
"""The work of one message, in units."""

STEP = 5
"""Units of work for a node, an expression or a filter, which is about a microsecond's worth."""


# Mappings that hold no values of the host.
_OPAQUE = (StrictDefaultUndefined, ForLoop, TableRow)


class Refused(Exception):
    """A template does something that is not allowed.

    Attributes:
        reason: what is not allowed, in words of the template alone.
        token: the place in the template, once it is known.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason: str = reason
        self.token: Token | None = None


class LimitReached(Refused):
    """A template wants to do too much."""


class Budget:
    """What is left for one message."""

    __slots__ = ("_iterations", "_room", "_sizes", "_variables", "work")

    def __init__(self) -> None:
        self.work: int = MAX_WORK
        self._room = MAX_MESSAGE
        self._iterations = MAX_LOOP_ITERATIONS
        self._variables = MAX_VARIABLES
        self._sizes: dict[str, int] = {}

    def spend(self, units: int) -> None:
        """Take units of work."""
        self.work -= units
        if self.work < 0:
            raise LimitReached(f"the message takes more than {MAX_WORK} units of work")

    def read(self, value: object) -> None:
        """Take the work of looking at a value."""
        self.spend(size_of(value, self.work))

    def write(self, characters: int) -> None:
        """Take room in the message."""
        self._room -= characters
        if self._room < 0:
            raise LimitReached(f"the message is longer than {MAX_MESSAGE} characters")

    def loop(self, iterations: int) -> None:
        """Take iterations of a loop."""
        self._iterations -= iterations
        if self._iterations < 0:
            raise LimitReached(f"loops go round more than {MAX_LOOP_ITERATIONS} times")
        self.spend(iterations * STEP)

    def keep(self, name: str, value: object) -> None:
        """Take room for a variable, instead of what it held before."""
        size = size_of(value, MAX_VARIABLES) + len(name)
        self.spend(size)
        self._variables += self._sizes.get(name, 0) - size
        self._sizes[name] = size
        if self._variables < 0:
            raise LimitReached(f"the variables take more than {MAX_VARIABLES} characters")


def size_of(value: object, most: int) -> int:
    """Return the characters and elements of a value with all that is in it, and stop counting beyond `most`."""
    if type(value) is str:
        return len(value)
    size = 0
    waiting: list[object] = [value]
    while waiting and size <= most:
        value = waiting.pop()
        # Asked by type, since a missing value answers no other question.
        if type(value) in _OPAQUE:
            size += 1
        elif isinstance(value, str | bytes):
            size += len(value)
        elif isinstance(value, int | Decimal):
            if not number_fits(value):
                raise LimitReached(f"a number has more than {MAX_NUMBER_BITS} bits or digits")
            size += 1
        elif isinstance(value, range):
            # Of a range with more elements than a machine word holds there is no `len`.
            size += max(value.stop - value.start, 0)
        elif isinstance(value, list | tuple | Set | Mapping):
            # What is in it many times over counts each time, so a cycle ends here as well.
            size += len(value)
            if size <= most:
                waiting.extend(value)
                if isinstance(value, Mapping):
                    waiting.extend(value.values())
        else:
            size += 1
    return size


def number_fits(value: object) -> bool:
    """Whether arithmetic on a value, or on the number that a string holds, stays cheap."""
    if isinstance(value, str):
        return len(value) <= MAX_NUMBER_BITS
    if isinstance(value, int):
        return value.bit_length() <= MAX_NUMBER_BITS
    if isinstance(value, Decimal) and value.is_finite():
        # As a whole number, which a loop asks for, it would have as many digits as its exponent says.
        return abs(value.adjusted()) <= MAX_NUMBER_BITS and len(value.as_tuple().digits) <= MAX_NUMBER_BITS
    return True
