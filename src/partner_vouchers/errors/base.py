"""The root of all errors, and how they are made."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar, dataclass_transform

_E = TypeVar("_E", bound="PartnerVouchersError")


@dataclass_transform(kw_only_default=True, eq_default=False)
def structured(cls: type[_E]) -> type[_E]:
    """Make an error of its annotated attributes, which are its keyword arguments."""
    return dataclass(eq=False, kw_only=True, repr=False)(cls)


def _rebuild(cls: Callable[..., Exception], attributes: dict[str, Any]) -> Exception:
    return cls(**attributes)


class PartnerVouchersError(Exception):
    """The root of all errors of this library.

    Attributes:
        code: a stable name of the error for programs; it never changes between versions.
    """

    code: ClassVar[str] = "partner_vouchers_error"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions travel between processes by pickle, which knows only positional arguments.
        return _rebuild, (type(self), {k: v for k, v in vars(self).items() if not k.startswith("__")})
