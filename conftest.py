"""Runs the examples of README.md, of docs/ and of the docstrings in src/.

A `python` block is executed, a `pycon` block is checked as a doctest, and an `output` block must equal
what the `python` block before it printed. The blocks of a page share one namespace.
"""

import gc
from collections.abc import Generator, Iterable
from contextlib import ExitStack, chdir, redirect_stdout
from datetime import UTC, datetime, timedelta
from io import StringIO
from tempfile import TemporaryDirectory
from typing import Any
from warnings import catch_warnings

import pytest
from sybil import Document, Example, Region, Sybil
from sybil.document import PythonDocStringDocument
from sybil.evaluators.doctest import DocTestEvaluator
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.abstract.doctest import DocTestStringParser
from sybil.parsers.doctest import DocTestParser
from sybil.parsers.myst import CodeBlockParser, SkipParser

_python = PythonEvaluator()
_doctest = DocTestStringParser(DocTestEvaluator())
_blocks = CodeBlockParser("pycon")


def _run(example: Example) -> None:
    with redirect_stdout(StringIO()) as printed:
        _python(example)
    example.namespace["_printed"] = printed.getvalue()


def _compare(example: Example) -> str | None:
    printed = example.namespace.get("_printed", "").strip()
    expected = example.parsed.strip()
    return None if printed == expected else f"Expected:\n{expected}\nPrinted:\n{printed}"


def _pycon(document: Document) -> Iterable[Region]:
    for block in _blocks(document):
        for region in _doctest(block.parsed, document.path):
            region.adjust(block, block.parsed)
            yield region


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect garbage once, after the tests were collected, and leave these out of it later: this saves seconds."""
    gc.disable()
    try:
        return (yield)
    finally:
        # With it go the classes that attrs has replaced by ones with slots.
        gc.collect()
        gc.freeze()
        gc.enable()


def _enter(namespace: dict[str, Any]) -> None:
    """Give a page an empty directory: an example creates the files that it needs."""
    # Everything older than the page is left out of the collection that ends it, which would take seconds otherwise.
    gc.freeze()
    stack = namespace["_stack"] = ExitStack()
    stack.enter_context(chdir(stack.enter_context(TemporaryDirectory())))


def _leave(namespace: dict[str, Any]) -> None:
    stack = namespace.pop("_stack")
    # An example ends as a program does, which closes nothing by hand: let go of its storage here.
    namespace.clear()
    with catch_warnings(action="ignore", category=ResourceWarning):
        gc.collect()
    stack.close()


def _enter_docstrings(namespace: dict[str, Any]) -> None:
    """Give the docstrings of a module a library with a partner, a list, codes and a campaign in it, and a sink."""
    from partner_vouchers import PartnerVouchers
    from partner_vouchers.adapters.memory import MemoryStorage
    from tests.support.sinks import ScriptedSink

    _enter(namespace)
    vouchers = PartnerVouchers(MemoryStorage())
    vouchers.partners.add("Puma")
    winter = vouchers.lists.create(
        partner="Puma",
        tag="winter",
        name="Winter Sale",
        expires_at=datetime.now(UTC) + timedelta(days=90),  # noqa: TID251
    )
    vouchers.uploads.add(
        winter.id,
        b"PM500AA\nPM500BB\nPM500CC\nPM500DD\nPM500EE\n",
        filename="codes.csv",
        uploaded_by="ops@example.com",
    )
    vouchers.campaigns.link(winter.id, "CMP123456")
    namespace.update(vouchers=vouchers, winter=winter, sink=ScriptedSink())
    namespace.update(datetime=datetime, timedelta=timedelta, UTC=UTC)


pytest_collect_file = (
    Sybil(
        parsers=[
            CodeBlockParser("python", _run),
            CodeBlockParser("output", _compare),
            _pycon,
            SkipParser(),
        ],
        patterns=["*.md"],
        setup=_enter,
        teardown=_leave,
    )
    + Sybil(
        parsers=[DocTestParser()],
        path="src",
        patterns=["**/*.py"],
        document_types={".py": PythonDocStringDocument},
        setup=_enter_docstrings,
        teardown=_leave,
    )
).pytest()
