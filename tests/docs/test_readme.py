"""The example of README.md, as a reader tries it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"


def test_the_example_runs_when_it_is_pasted_into_an_interpreter(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    pasted = subprocess.run(
        [sys.executable, "-X", "utf8", "-i", "-q"],
        input=example,
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert "Error" not in pasted.stderr, pasted.stderr
    assert "Completed 3 / 3 errors: 0" in pasted.stdout
    assert "Hi Asha, Puma gives you PM500AA" in pasted.stdout
