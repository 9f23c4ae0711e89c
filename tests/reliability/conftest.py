from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.reliability.jobs import prepare
from tests.reliability.vfs import NoVFS, disk
from tests.support.places import Place, a_place
from tests.support.postgres import Server


@pytest.fixture(scope="session")
def _disk() -> None:
    try:
        disk()
    except NoVFS as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def prepared(_disk: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A storage with a bit of everything in it, closed."""
    path = tmp_path_factory.mktemp("prepared") / "vouchers.db"
    prepare(path, checkpoint_due=False)
    return path


@pytest.fixture(scope="session")
def prepared_with_log(_disk: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, as a killed process left it: its next commit brings the log back into the database."""
    path = tmp_path_factory.mktemp("prepared") / "vouchers.db"
    prepare(path, checkpoint_due=True)
    return path


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.deep)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A storage that outlives the processes that use it."""
    with a_place(request.param, tmp_path) as found:
        yield found


@pytest.fixture
def own_server() -> Iterator[Server]:
    """A server of the test's own, which writes to disk as in earnest."""
    started = Server()
    yield started
    started.remove()
