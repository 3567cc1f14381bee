"""The code in README.md and CONTRIBUTING.md runs as it stands there."""

import re
from pathlib import Path

import pytest

from examples.render_demo import render

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_code_blocks_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    render(tmp_path / "demo" / "quick_recipes.mp4")
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": name}
    for block in blocks:
        exec(compile(block, name, "exec"), namespace)
    assert blocks
    assert len(capsys.readouterr().out.splitlines()) > 0 or name == "CONTRIBUTING.md"
