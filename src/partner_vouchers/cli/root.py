"""The command and its groups, to which the other modules add."""

from __future__ import annotations

from typing import Annotated

import typer

from partner_vouchers import __version__

app: typer.Typer = typer.Typer(
    name="partner-vouchers",
    help="Give each user who earned one a voucher code, exactly once.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
events: typer.Typer = typer.Typer(no_args_is_help=True, help="Deliver events, and see what waits.")
templates: typer.Typer = typer.Typer(no_args_is_help=True, help="Check and try message templates.")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_print_version, help="Show the version and exit."),
    ] = False,
) -> None:
    pass
