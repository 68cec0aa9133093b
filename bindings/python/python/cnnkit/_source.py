"""Where the layers of an exported program were written."""

from __future__ import annotations

import ast
import operator
import os
import re
from collections.abc import Callable
from typing import Any, TypeAlias

import torch

from . import _constructors
from ._text import Range, Use, forget, is_foreign, text

#: Returns the calls that constructed a module, innermost first.
Uses: TypeAlias = "Callable[[torch.nn.Module], list[Use]]"


def written(
    model: torch.nn.Module, program: torch.export.ExportedProgram, uses: Uses | None, origin: object
) -> dict[str, Any]:
    """The content of ``cnnkit_source.json``: texts, places in them, and the places of nodes and stored tensors.

    ``uses`` is what a recorder recorded; without it, the source of the model's classes is searched. ``origin`` is what the
    network was made from: a class or a function.
    """
    forget()
    found = _constructors.Constructors(model)
    recorded = uses

    def calls(module: torch.nn.Module) -> list[Use]:
        return (recorded(module) if recorded is not None else []) or found.uses(module)

    places = _Places()
    content: dict[str, Any] = {"nodes": {}, "tensors": {}}
    whole = _definition(origin)
    content["whole"] = None if whole is None else places.add([Use("", whole)])
    modules = dict(model.named_modules(remove_duplicate=False))
    for node in program.graph.nodes:
        if node.op != "call_function":
            continue
        place = places.add(_of_node(node, modules, calls))
        if place is not None:
            content["nodes"][node.name] = place
            # A node of several outputs is named after the first of them.
            for user in node.users:
                if user.target is operator.getitem:
                    content["nodes"].setdefault(user.name, place)
    for path, module in modules.items():
        place = places.add(_nearest(path, modules, calls))
        if place is None:
            continue
        own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        for name, _ in own:
            content["tensors"][f"{path}.{name}" if path else name] = place
    content["files"], content["places"] = places.files, places.list
    return content


def _nearest(path: str, modules: dict[str, torch.nn.Module], calls: Uses) -> list[Use]:
    """The calls that constructed a module; where they are not known, those of the module around it."""
    while path:
        found = calls(modules[path]) if path in modules else []
        if found:
            return found
        path = path.rpartition(".")[0]
    return []


def _of_node(node: torch.fx.Node, modules: dict[str, torch.nn.Module], calls: Uses) -> list[Use]:
    """Where an operator was written: the constructor of its module, or its line in the ``forward`` of the user's code."""
    path = _path(node)
    module = modules.get(path)
    around = _nearest(path, modules, calls)
    forward = getattr(getattr(type(module), "forward", None), "__code__", None)
    own = forward is not None and not is_foreign(forward.co_filename)
    # A call that is inherited from torch is what the constructor says.
    if module is not None and not own and around:
        return around
    line = _line(node.meta.get("stack_trace"))
    return around if line is None else [Use("", line), *around]


def _path(node: torch.fx.Node) -> str:
    """The module path of a node, without the number of the call."""
    stack = node.meta.get("nn_module_stack") or {}
    last = next(reversed(stack.values()), ("",))
    path: str = last[0].split("@")[0]
    return path.removeprefix("L['self'].")


def _line(trace: str | None) -> Range | None:
    """The innermost line of the user's code in a stack trace."""
    lines = re.findall(r'File "([^"]+)", line (\d+)', trace or "")
    for file, number in reversed(lines):
        if not is_foreign(file):
            return text(file).line(int(number))
    return None


def _definition(origin: object) -> Range | None:
    """The name of a class or function where it is defined."""
    found = _constructors.definition(origin)
    if found is None:
        return None
    source, node = found
    if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        return source.definition(node)
    return None


class _Places:
    """Places without repetition, and the files that they are in."""

    def __init__(self) -> None:
        self.files: list[dict[str, str]] = []
        self.list: list[dict[str, Any]] = []
        self._files: dict[str, int] = {}
        self._known: dict[tuple[Use, ...], int] = {}

    def add(self, uses: list[Use]) -> int | None:
        """The number of a place: the first use, which is part of the others; none if there is none."""
        if not uses:
            return None
        key = tuple(uses)
        if key not in self._known:
            self._known[key] = len(self.list)
            around = [[use.name, self._range(use.at)] for use in uses[1:]]
            self.list.append({"at": self._range(uses[0].at), "used_at": around})
        return self._known[key]

    def _range(self, at: Range) -> tuple[int, int, int]:
        if at.file not in self._files:
            self._files[at.file] = len(self.files)
            self.files.append({"name": _shown(at.file), "text": text(at.file).text})
        return self._files[at.file], at.start, at.end


def _shown(file: str) -> str:
    """A path relative to the current folder, if it is below it."""
    try:
        inside = os.path.relpath(os.path.realpath(file), os.path.realpath(os.curdir))
    except ValueError:
        return file
    return file if inside.startswith("..") else inside.replace(os.sep, "/")
