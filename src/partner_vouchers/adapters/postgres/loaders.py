"""How values are read, whatever a host has configured for the driver, its connection or its pool."""

from __future__ import annotations

from typing import TypeVar

import psycopg
from psycopg.adapt import AdaptersMap, Loader
from psycopg.types.bool import BoolLoader
from psycopg.types.numeric import IntLoader, NumericLoader
from psycopg.types.string import ByteaLoader, TextLoader

_LOADERS: dict[str, type[Loader]] = {
    "bool": BoolLoader,
    "bytea": ByteaLoader,
    "int2": IntLoader,
    "int4": IntLoader,
    "int8": IntLoader,
    "name": TextLoader,
    "numeric": NumericLoader,
    "regclass": TextLoader,
    "text": TextLoader,
}

OWN: AdaptersMap = AdaptersMap(psycopg.adapters)
"""How our own connections read values."""

for _kind, _loader in _LOADERS.items():
    OWN.register_loader(_kind, _loader)

Row = TypeVar("Row")


def with_loaders(cursor: psycopg.Cursor[Row]) -> psycopg.Cursor[Row]:
    """Return a cursor that reads values in this way."""
    for kind, loader in _LOADERS.items():
        cursor.adapters.register_loader(kind, loader)
    return cursor
