"""The names of the tables, quoted, with prefix and schema; and the numbers of the advisory locks."""

from __future__ import annotations

import re
from hashlib import blake2b

from psycopg import sql

from partner_vouchers.adapters.sql.statements import load_statements
from partner_vouchers.errors import InvalidInput

_PREFIX = re.compile(r"[a-z_][a-z0-9_]{0,29}")
# The SQL of this adapter is written for the prefix `pv_`, so that it can be read, and tried, as it is.
# An index lies in the schema of its table and cannot be given one.
_NAME = re.compile(r"(\bINDEX |'|\b)pv_([a-z_]+)\b")
_EACH = re.compile(r"json_each\(\?\) AS (\w+)")

STATEMENTS = load_statements("partner_vouchers.adapters.sql", "partner_vouchers.adapters.postgres")


class Names:
    """Turns the SQL of this adapter into that of one storage."""

    def __init__(self, prefix: object, schema: object) -> None:
        if not isinstance(prefix, str) or not _PREFIX.fullmatch(prefix):
            raise InvalidInput(
                field="prefix",
                reason="must be 1 to 30 lower-case letters, digits and underscores, and not begin with a digit",
            )
        if schema is not None and not _is_name(schema):
            raise InvalidInput(field="schema", reason="must be the name of a schema, or None")
        self.prefix: str = prefix
        self.schema: str | None = schema if isinstance(schema, str) else None
        self._rendered: dict[str, bytes] = {}

    def table(self, name: str) -> str:
        """Return the quoted name of a table for SQL."""
        path = (self.prefix + name,) if self.schema is None else (self.schema, self.prefix + name)
        return sql.Identifier(*path).as_string(None)

    def text(self, script: str) -> str:
        """Return SQL without placeholders with the names of this storage in it."""
        return _NAME.sub(self._named, script)

    def sql(self, statement: str) -> bytes:
        """Return a statement with the names of this storage in it; each is worked out once."""
        known = self._rendered.get(statement)
        if known is None:
            text = _EACH.sub(
                r"unnest(ARRAY(SELECT json_array_elements_text(?::json))) WITH ORDINALITY AS \1 (value, key)",
                STATEMENTS.get(statement, statement),
            )
            text = text.replace("instr(", "strpos(").replace("?", "%s")
            quoted = _NAME.sub(lambda found: self._named(found).replace("%", "%%"), text)
            known = self._rendered[statement] = quoted.encode()
        return known

    def _named(self, found: re.Match[str]) -> str:
        before, name = found.groups()
        if before == "'":
            # Within a string: the name of a sequence.
            return before + self.table(name).replace("'", "''")
        if before:
            return str(before) + sql.Identifier(self.prefix + name).as_string(None)
        return self.table(name)


def lock_number(*about: str) -> int:
    """Return the number of the lock about something: the same in every process and for every storage."""
    digest = blake2b("\0".join(about).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def _is_name(value: object) -> bool:
    return (
        isinstance(value, str)
        and value.isprintable()
        and 0 < len(value.encode("utf-8", "surrogatepass")) < 64
    )
