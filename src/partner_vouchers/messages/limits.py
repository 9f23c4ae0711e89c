"""The limits of templates, which are input from outside the program.

Each message has one budget, since many small steps cost as much as a big one. It counts in units of work: each node,
expression and filter of a template that is evaluated costs `STEP`, and each character or element of a value costs one
unit whenever it is read, passed to a filter, returned by one or kept in a variable.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from decimal import Decimal

from liquid import Token
from liquid.builtin.tags.for_tag import ForLoop
from liquid.builtin.tags.tablerow_tag import TableRow
from liquid.undefined import StrictDefaultUndefined

MAX_SOURCE = 100_000
"""The maximum length of a template, in characters."""

MAX_EXPRESSION = 1_000
"""The maximum length of a `{{ }}` or `{% %}`, and of a line of `{% liquid %}`, in characters."""

MAX_NESTING = 30
"""The maximum depth of nested blocks."""

MAX_MESSAGE = 1_000_000
"""The maximum number of characters of a message, including those that it captures."""

MAX_LOOP_ITERATIONS = 10_000
"""The maximum number of iterations of all loops of a message together, and of the numbers in a range."""

MAX_VALUE = 100_000
"""The maximum size of a value that a filter returns, in characters and elements."""

MAX_VARIABLES = 200_000
"""The maximum size of all variables of a message together, in characters and elements."""

MAX_NUMBER_BITS = 256
"""The maximum size of a whole number in bits, and of a decimal number in digits."""

MAX_WORK = 1_000_000
"""The maximum work of a message, in units."""

STEP = 5
"""The units of work for a node, an expression or a filter; it takes about a microsecond."""


# Mappings that hold no values of the host.
_OPAQUE = (StrictDefaultUndefined, ForLoop, TableRow)


class Refused(Exception):
    """A template does something that is not allowed.

    Attributes:
        reason: explains the refusal and quotes only the template.
        token: the place in the template, once it is known.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason: str = reason
        self.token: Token | None = None


class LimitReached(Refused):
    """A limit is reached."""


class Budget:
    """The work and the room that are left for a message."""

    __slots__ = ("_iterations", "_room", "_sizes", "_variables", "work")

    def __init__(self) -> None:
        self.work: int = MAX_WORK
        self._room = MAX_MESSAGE
        self._iterations = MAX_LOOP_ITERATIONS
        self._variables = MAX_VARIABLES
        self._sizes: dict[str, int] = {}

    def spend(self, units: int) -> None:
        """Spend units of work.

        Raises:
            LimitReached: no work is left; the other methods raise it likewise.
        """
        self.work -= units
        if self.work < 0:
            raise LimitReached(f"the message takes more than {MAX_WORK} units of work")

    def read(self, value: object) -> None:
        """Spend the work of reading a value."""
        self.spend(size_of(value, self.work))

    def write(self, characters: int) -> None:
        """Use room in the message."""
        self._room -= characters
        if self._room < 0:
            raise LimitReached(f"the message is longer than {MAX_MESSAGE} characters")

    def loop(self, iterations: int) -> None:
        """Use iterations of a loop."""
        self._iterations -= iterations
        if self._iterations < 0:
            raise LimitReached(f"the loops have more than {MAX_LOOP_ITERATIONS} iterations")
        self.spend(iterations * STEP)

    def keep(self, name: str, value: object) -> None:
        """Use room for a variable, in place of its previous value."""
        size = size_of(value, MAX_VARIABLES) + len(name)
        self.spend(size)
        self._variables += self._sizes.get(name, 0) - size
        self._sizes[name] = size
        if self._variables < 0:
            raise LimitReached(f"the variables take more than {MAX_VARIABLES} characters")


def size_of(value: object, most: int) -> int:
    """Return the number of characters and elements of a value and its elements; stop counting beyond `most`."""
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
            # An element that occurs many times counts each time, so the search of a cycle ends here as well.
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
