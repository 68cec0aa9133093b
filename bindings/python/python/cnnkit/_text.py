"""Texts of Python files, and ranges in them."""

from __future__ import annotations

import ast
import linecache
import os
import sysconfig
from dataclasses import dataclass
from functools import cache, cached_property


@dataclass(frozen=True)
class Range:
    """Bytes ``start`` to ``end`` of a file's text in UTF-8."""

    file: str
    start: int
    end: int


@dataclass(frozen=True)
class Use:
    """A call that constructs something: the name of what is called, and where its name is written."""

    name: str
    at: Range


class Text:
    """A file of Python."""

    def __init__(self, file: str) -> None:
        self.file = file
        # As the interpreter read it: with the declared encoding, every line ended by a line feed.
        self.lines = linecache.getlines(file)
        self.text = "".join(self.lines)

    @cached_property
    def tree(self) -> ast.Module:
        """Its syntax tree; an empty one if it is not Python."""
        try:
            return ast.parse(self.text)
        except (SyntaxError, ValueError):
            return ast.Module(body=[], type_ignores=[])

    @cached_property
    def calls(self) -> list[ast.Call]:
        """All calls in it."""
        return [node for node in ast.walk(self.tree) if isinstance(node, ast.Call)]

    @cached_property
    def _starts(self) -> list[int]:
        starts = [0]
        for line in self.lines:
            starts.append(starts[-1] + len(line.encode()))
        return starts

    def range(self, line: int, column: int, end: int) -> Range:
        """Columns ``column`` to ``end`` of a line from 1, in bytes."""
        start = self._starts[min(line, len(self._starts)) - 1]
        return Range(self.file, start + column, start + end)

    def line(self, number: int) -> Range | None:
        """The code of a line, without blanks around it; none if there is no such line."""
        if not 1 <= number <= len(self.lines):
            return None
        line = self.lines[number - 1].rstrip()
        blank = len(line) - len(line.lstrip())
        return self.range(number, len(line[:blank].encode()), len(line.encode()))

    def callee(self, call: ast.Call) -> Range:
        """What is called: ``nn.Conv2d`` of ``nn.Conv2d(3, 8, 3)``."""
        called = call.func
        end_line, end = called.end_lineno or called.lineno, called.end_col_offset or called.col_offset
        if end_line == called.lineno:
            return self.range(called.lineno, called.col_offset, end)
        # A chain of calls over several lines: the last of them.
        start = len(self.lines[end_line - 1]) - len(self.lines[end_line - 1].lstrip())
        return self.range(end_line, start, end)

    def definition(self, node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> Range:
        """The name in a ``class`` or ``def`` statement."""
        line = self.lines[node.lineno - 1] if node.lineno <= len(self.lines) else ""
        words = 3 if isinstance(node, ast.AsyncFunctionDef) else 2
        column = node.col_offset
        for word in line[node.col_offset :].split(" ")[: words - 1]:
            column += len(word) + 1
        found = line.find(node.name, node.col_offset)
        column = len(line[:found].encode()) if found >= 0 else column
        return self.range(node.lineno, column, column + len(node.name.encode()))

    def call_at(self, line: int, position: tuple[int, int, int] | None, called: str) -> ast.Call | None:
        """The call at a line: with the given columns and last line, else by the name of what is called."""
        if position is not None:
            end_line, column, end = position
            for call in self.calls:
                if (call.lineno, call.end_lineno, call.col_offset, call.end_col_offset) == (line, end_line, column, end):
                    return call
        around = [call for call in self.calls if call.lineno <= line <= (call.end_lineno or call.lineno)]
        named = [call for call in around if last_name(call.func) == called]
        return min(named or around, key=_extent, default=None)


def _extent(call: ast.Call) -> tuple[int, int]:
    return ((call.end_lineno or call.lineno) - call.lineno, -call.col_offset)


def last_name(node: ast.expr) -> str:
    """``Conv2d`` of ``nn.Conv2d``; empty for what has no name."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


@cache
def text(file: str) -> Text:
    """The text of a file, read once."""
    return Text(file)


@cache
def is_foreign(file: str) -> bool:
    """Whether a file is not the user's: of a package that was installed, of Python, or no file at all."""
    if not linecache.getlines(file):
        return True
    parts = file.replace("\\", "/").split("/")
    if "site-packages" in parts or "dist-packages" in parts:
        return True
    folders = [sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib")]
    folders.append(os.path.dirname(os.path.abspath(__file__)))
    return any(os.path.abspath(file).startswith(folder + os.sep) for folder in folders)


def forget() -> None:
    """Reads files again, which may have changed."""
    linecache.checkcache()
    text.cache_clear()
    is_foreign.cache_clear()
