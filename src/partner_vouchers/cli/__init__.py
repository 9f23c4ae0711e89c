"""The command `partner-vouchers` (extra `cli`)."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command `partner-vouchers`, and return its exit code.

    Args:
        arguments: those of the process where None.
    """
    try:
        from partner_vouchers.cli.app import run
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich", "click"):
            raise
        sys.stderr.write("partner-vouchers needs its extra: pip install 'partner-vouchers[cli]'\n")
        return 2
    except KeyboardInterrupt:
        # The modules were still being loaded.
        return 130
    return run(arguments)
