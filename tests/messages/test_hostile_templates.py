import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs limits on a process")


@pytest.mark.parametrize("step", [23, pytest.param(1, marks=pytest.mark.deep)])
def test_hostile_templates_end_in_one_typed_error(step: int) -> None:
    from tests.support.hostile import HARMLESS, SOURCES

    # The real figures are a tenth of a second and a few megabytes; a slow machine must not fail this test.
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.hostile", "20", "60", str(step)],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    ended = {name: end for name, _, _, end in json.loads(done.stdout)}

    assert list(ended) == list(SOURCES)[::step]
    rendered = {name for name, end in ended.items() if end == "rendered"}
    assert rendered <= HARMLESS
    failed = {name: end for name, end in ended.items() if name not in rendered}
    assert {name: end for name, end in failed.items() if not end.startswith("MessageError: ")} == {}
    assert [name for name, end in failed.items() if "MemoryError" in end] == []
