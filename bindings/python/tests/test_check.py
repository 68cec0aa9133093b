"""`cnnkit check package.module:Name`: findings at the lines of Python."""

import json
import os
import sys
import textwrap

import pytest

import cnnkit
from cnnkit import _program

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

NET = '''
"""Nets.  # cnnkit: ignore[CK401] this is no comment
"""
import torch
from torch import nn


def conv_norm(width, out):
    return nn.Sequential(
        nn.Conv2d(width, out, 3),  # factory
        nn.BatchNorm2d(out),
        nn.ReLU(),
    )


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv = nn.Conv2d(  # block
            width, width, 3, padding=1,
        )
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x):
        x = torch.relu(self.norm(self.conv(x)))
        return torch.relu(x)  # functional


class Wide(nn.Conv2d):
    def __init__(self, width):
        super().__init__(width, width, 5, padding=2)


class Pair(nn.Sequential):
    def __init__(self, width):
        super().__init__(
            nn.Conv2d(width, width, 1),  # subclass of Sequential
            nn.BatchNorm2d(width),
            nn.ReLU(),
        )


class Net(nn.Module):
    def __init__(self, depth=16, width=8):
        super().__init__()

        def closure(kernel):
            return nn.Conv2d(width, width, kernel)  # closure

        self.stem = nn.Sequential(nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.ReLU())  # sequential
        self.made = conv_norm(width, width)
        self.blocks = nn.Sequential(*[Block(width) for _ in range(depth)])
        self.tail = nn.ModuleList()
        for _ in range(2):
            self.tail.append(nn.Conv2d(width, width, 1))  # loop
            self.tail.append(nn.BatchNorm2d(width))
            self.tail.append(nn.ReLU())
        self.listed = nn.ModuleList([nn.Conv2d(width, width, 1), nn.BatchNorm2d(width), nn.ReLU()])  # list
        self.wide = Wide(width)  # subclass
        self.wide_norm = nn.BatchNorm2d(width)
        self.act = nn.ReLU()
        self.pair = Pair(width)
        self.closed = closure(3)
        self.closed_norm = nn.BatchNorm2d(width)
        self.good = nn.Conv2d(width, width, 1, bias=False)
        self.good_norm = nn.BatchNorm2d(width)

    def forward(self, x):
        x = self.blocks(self.made(self.stem(x)))
        for module in [*self.tail, *self.listed]:
            x = module(x)
        x = self.act(self.wide_norm(self.wide(x)))
        x = self.act(self.closed_norm(self.closed(self.pair(x))))
        return self.good_norm(self.good(x))


def build(depth=2):
    print("this is no report")
    return Net(depth)


net = Net(1)
'''
PLACES = "factory block sequential loop list closure subclass".split()


def line(mark, text=NET):
    (found,) = [number for number, line in enumerate(text.splitlines(), 1) if line.rstrip().endswith("# " + mark)]
    return found


@pytest.fixture
def project(tmp_path):
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "__init__.py").touch()
    (tmp_path / "nets" / "net.py").write_text(NET)
    return tmp_path


@pytest.fixture
def run(project, capfd, monkeypatch):
    """Runs the program in this process, which has imported PyTorch."""

    def call(*words, status=1):
        for name in [name for name in sys.modules if name.partition(".")[0] in ("nets", "bad")]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setattr(sys, "argv", ["cnnkit", *words])
        capfd.readouterr()
        returned = _program.main()
        out, error = capfd.readouterr()
        assert returned == status, out + error
        return out if status != 2 else error

    monkeypatch.chdir(project)
    monkeypatch.setattr(sys, "path", [os.fspath(project), *sys.path])
    return call


@pytest.fixture
def findings(run):
    """Runs the check, and returns the findings of a rule by their lines."""

    def call(*words, rule="CK401", status=1):
        report = json.loads(run("check", *words, "--format", "json", status=status))
        return {item["line"]: item for item in report["findings"] if item["rule"] == rule}

    return call


INPUT = ("--input", "3,32,32")


def test_findings_are_at_the_constructors(findings):
    found = findings("nets.net:Net", *INPUT)
    expected = {line(mark) for mark in (*PLACES, "subclass of Sequential")}
    assert set(found) == expected
    assert {item["file"] for item in found.values()} == {"nets/net.py"}
    # A block that is used sixteen times has one finding.
    block = found[line("block")]
    assert block["node"] == "blocks.0.conv" and len(block["also"]) == 15
    assert NET.splitlines()[block["line"] - 1][block["column"] - 1 :].startswith("nn.Conv2d(")
    assert set(findings("nets.net:Net", *INPUT, rule="CK403")) == {line("functional")}


def test_live_module_has_the_same_lines(project, monkeypatch):
    monkeypatch.syspath_prepend(project)
    monkeypatch.chdir(project)
    monkeypatch.delitem(sys.modules, "nets", raising=False)
    monkeypatch.delitem(sys.modules, "nets.net", raising=False)
    from nets.net import Net

    result = cnnkit.check(Net(), (3, 32, 32))
    lines = {item.line for item in result.findings if item.rule == "CK401"}
    assert lines == {line(mark) for mark in (*PLACES, "subclass of Sequential")}
    assert {item.file for item in result.findings} == {"nets/net.py"}


def test_class_factory_and_instance_take_arguments(run, findings):
    assert len(findings("nets.net:Net", *INPUT, "--arg", "depth=3")[line("block")]["also"]) == 2
    assert len(findings("nets.net:build", *INPUT)[line("block")]["also"]) == 1
    assert findings("nets.net:net", *INPUT)[line("block")]["also"] == []
    assert "takes no arguments" in run("check", "nets.net:net", *INPUT, "--arg", "a=1", status=2)


def test_every_format_names_the_line(run):
    number = line("block")
    words = ("check", "nets.net:Net", *INPUT, "--format")
    sarif = json.loads(run(*words, "sarif"))
    places = [
        result["locations"][0]["physicalLocation"]
        for result in sarif["runs"][0]["results"]
        if result["ruleId"] == "CK401"
    ]
    lines = [place["region"]["startLine"] for place in places]
    assert lines.count(number) == 1 and {place["artifactLocation"]["uri"] for place in places} == {"nets/net.py"}
    assert f"::warning file=nets/net.py,line={number}," in run(*words, "github")
    assert f"nets/net.py:{number}:" in run(*words, "concise")
    full = run("check", "nets.net:Net", *INPUT)
    assert f"--> nets/net.py:{number}:21" in full
    assert f"{number} |         self.conv = nn.Conv2d(  # block" in full and "in this use of `Block`" in full


def suppressed(project, *marks):
    text = NET
    for mark in marks:
        text = text.replace(f"# {mark}\n", "# cnnkit: ignore[CK401] kept for old weights\n")
    (project / "nets" / "net.py").write_text(text)


def test_comments_suppress_findings_in_python(project, run):
    suppressed(project, "block", "factory", "list")
    report = json.loads(run("check", "nets.net:Net", *INPUT, "--format", "json"))
    lines = {item["line"] for item in report["findings"] if item["rule"] == "CK401"}
    assert lines == {line(mark) for mark in PLACES if mark not in ("block", "factory", "list")} | {
        line("subclass of Sequential")
    }
    assert not [item for item in report["findings"] if item["rule"] == "CK191"]


def test_comment_at_the_use_of_a_factory_suppresses(project, findings):
    text = NET.replace("self.made = conv_norm(width, width)", "self.made = conv_norm(width, width)  # cnnkit: ignore[CK401] x")
    (project / "nets" / "net.py").write_text(text)
    assert line("factory") not in findings("nets.net:Net", *INPUT)


def test_unused_comments_of_python_are_found(project, findings):
    good = "self.good = nn.Conv2d(width, width, 1, bias=False)"
    text = NET.replace(good, good + "  # cnnkit: ignore[CK401] nothing")
    text += "\n\nclass Other(nn.Module):\n    x = nn.ReLU()  # cnnkit: ignore[CK401] of another network\n"
    (project / "nets" / "net.py").write_text(text)
    unused = findings("nets.net:Net", *INPUT, rule="CK191")
    assert [text.splitlines()[number - 1].strip() for number in unused] == [good + "  # cnnkit: ignore[CK401] nothing"]


def test_networks_are_listed_in_the_projects_file(project, findings):
    table = '[[python]]\nmodel = "nets.net:Net"\ninput = [3, 32, 32]\nargs = {depth = 5}\n'
    (project / "cnnkit.toml").write_text(table)
    assert len(findings()[line("block")]["also"]) == 4
    assert len(findings("nets.net:Net", "--arg", "depth=2")[line("block")]["also"]) == 1
    (project / "cnnkit.toml").unlink()
    (project / "pyproject.toml").write_text("[project]\nname = 'x'\n[tool.other]\na = 1\n" + table.replace("[[", "[[tool.cnnkit."))
    assert len(findings()[line("block")]["also"]) == 4


def test_budget_is_at_the_class(project, findings):
    table = '[[budget]]\nspecs = ["nets.net:*"]\nlimit = {params = {max = 100}}\n'
    (project / "cnnkit.toml").write_text(table)
    (found,) = findings("nets.net:Net", *INPUT, rule="CK602").values()
    assert NET.splitlines()[found["line"] - 1].startswith("class Net(") and found["column"] == 7


def test_fix_says_that_python_is_not_edited(project, run):
    assert "`--fix` does not edit Python" in run("check", "nets.net:Net", *INPUT, "--fix")
    assert (project / "nets" / "net.py").read_text() == NET


def test_other_commands_take_objects_too(run):
    report = json.loads(run("params", "nets.net:Net", *INPUT, "--format", "json", status=0))
    assert report["spec"] == {"name": "Net", "path": "nets.net:Net"} and report["totals"]["params"] > 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nets.net:Nett", *INPUT), "`nets.net` has no `Nett`; it has Block"),
        (("nets.nett:Net", *INPUT), "there is no module `nets.nett`"),
        (("nets.net:NET", *INPUT), "has no `NET`"),
        (("nets.net:Net",), "the shape of the input of `nets.net:Net` is not known"),
        (("nets.net:Block", *INPUT), "cannot be constructed: TypeError"),
        (("nets.net:PLACES", *INPUT), "has no `PLACES`"),
        (("nets.net:torch", *INPUT), "is no class, factory or instance"),
        (("nets.net:Net.x.y", *INPUT), "has no `Net.x.y`"),
        (("nets.net:net.closee", *INPUT), "did you mean `net.closed`?"),
        (("nets.net:Net", "--input", "4,32,32"), "have 3 channels, but got 4 channels instead"),
        (("nets/net.py:Net", *INPUT), "a network of Python is named `package.module:Name`, with dots"),
        (("nets.net", *INPUT), "a network of Python is named `package.module:Name`, with dots"),
    ],
)
def test_errors_name_the_object(words, message, run):
    assert message in run("check", *words, status=2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("import nothing_here", "No module named 'nothing_here'"),
        ("x = 1\ndef f(:", "bad.py:2: def f(:"),
        ("raise RuntimeError('no\\x1b[31m')", "RuntimeError: no ("),
    ],
)
def test_module_that_cannot_be_imported_says_why(text, message, project, run):
    (project / "bad.py").write_text(text)
    error = run("check", "bad:Net", *INPUT, status=2)
    assert "`bad` cannot be imported" in error and message in error and "\x1b" not in error


def test_error_in_the_users_code_names_its_line(project, run):
    (project / "bad.py").write_text(textwrap.dedent("""
        from torch import nn

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.x = 1 / 0
    """))
    message = run("check", "bad:Net", *INPUT, status=2)
    assert "ZeroDivisionError" in message and "bad.py:7: self.x = 1 / 0" in message
