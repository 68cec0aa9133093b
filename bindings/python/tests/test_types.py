"""The package's types: consistent in themselves, and as a caller sees them."""

import pathlib
import subprocess
import sys

import pytest

pytest.importorskip("mypy", reason="mypy is not installed")
HERE = pathlib.Path(__file__).parent

CALLER = """
import cnnkit
from cnnkit import Network, Result

result: Result = cnnkit.summary("zoo:resnet18", (3, 64, 64), depth=2)
network: Network = cnnkit.load("zoo:resnet18", set={"classes": 10})
reveal_type(result.ok)
reveal_type(result.to_json())
reveal_type(result.to_dict())
reveal_type(cnnkit.version())
cnnkit.summary("zoo:resnet18", depth=1.5)
cnnkit.gridding([1, 2, 5], kernel="three")
"""


def mypy(*words, cwd):
    command = [sys.executable, "-m", "mypy", "--config-file", str(HERE.parent / "pyproject.toml"), *words]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    return done.returncode, done.stdout


def test_package_is_typed(tmp_path):
    status, text = mypy("--cache-dir", str(tmp_path), str(HERE.parent / "python" / "cnnkit"), cwd=HERE.parent)
    assert status == 0, text


def test_caller_sees_types(tmp_path, monkeypatch):
    monkeypatch.setenv("MYPYPATH", str(HERE.parent / "python"))
    (tmp_path / "caller.py").write_text(CALLER)
    _, text = mypy("--cache-dir", str(tmp_path), "caller.py", cwd=tmp_path)
    revealed = [line.split('"')[1] for line in text.splitlines() if "Revealed type" in line]
    assert [name.replace("builtins.", "") for name in revealed[:2]] == ["bool", "str"], text
    assert revealed[2].startswith(("builtins.dict", "dict")) and revealed[3].endswith("str"), text
    errors = [line for line in text.splitlines() if ": error:" in line]
    assert len(errors) == 2 and "[arg-type]" in errors[0] and "[arg-type]" in errors[1], text
