"""Networks that the program's arguments name: ``package.module:Name``."""

from __future__ import annotations

import ast
import contextlib
import difflib
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

from ._native import CnnkitError


def archive(name: str, inputs: Sequence[tuple[str, Sequence[int]]], arguments: Sequence[tuple[str, str]]) -> bytes:
    """The archive of a class, a factory or an instance; its module is imported because it was named.

    ``inputs`` are shapes without the batch, those without a name in the order of ``forward``; ``arguments`` are those of
    the constructor, as literals of Python (anything else is a text).
    """
    try:
        import torch
    except ImportError:
        raise CnnkitError(f"`{name}` cannot be imported: PyTorch is not installed\nhelp: pip install torch") from None
    if not inputs:
        raise CnnkitError(
            f"the shape of the input of `{name}` is not known\n"
            "help: give it without the batch, `--input 3,224,224`, or list the network in cnnkit.toml"
        )
    from . import _export
    from ._record import Recorder

    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    given = {key: _literal(value) for key, value in arguments}
    # What the user's code prints is no report.
    with contextlib.redirect_stdout(sys.stderr):
        with Recorder() as recorder:
            made_of = _named(name)
            model = _built(name, made_of, given)
        if not isinstance(model, torch.nn.Module):
            raise CnnkitError(f"`{name}` is no torch.nn.Module, and makes none: {type(model).__name__}")
        model = _export.unwrapped(model)
        origin = type(model) if isinstance(made_of, torch.nn.Module) else made_of
        positional = [tuple(sizes) for key, sizes in inputs if not key]
        keywords = {key: tuple(sizes) for key, sizes in inputs if key}
        exported = _export.export(model, positional, keywords, origin=origin, uses=recorder.uses)
    for remark in exported.remarks:
        print(f"note: {remark}", file=sys.stderr)
    return exported.archive


def _literal(value: str) -> Any:
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return value


def _named(name: str) -> Any:
    """The object of this name."""
    module, _, path = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = error.name or module
        if module == missing or module.startswith(missing + "."):
            raise CnnkitError(
                f"there is no module `{missing}`\n"
                "help: modules are searched in the current folder and where Python has its packages"
            ) from None
        raise CnnkitError(f"`{module}` cannot be imported: {_reason(error)}") from error
    except (Exception, SystemExit) as error:
        raise CnnkitError(f"`{module}` cannot be imported: {_reason(error)}") from error
    inside = ""
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            networks = [inside + network for network in _networks(found, module)]
            near = difflib.get_close_matches(inside + part, networks, 1)
            listed = f"; it has {', '.join(networks[:8])}" if networks else ""
            remedy = f"did you mean `{near[0]}`?" if near else "`package.module:Name`"
            raise CnnkitError(f"`{module}` has no `{path}`{listed}\nhelp: {remedy}") from None
        inside += part + "."
    return found


def _networks(found: Any, module: str) -> list[str]:
    """Names of the networks that a module of Python, a class or a network has, its own first."""
    import torch

    if isinstance(found, torch.nn.Module):
        return [name for name, _ in found.named_children()]
    entries = getattr(found, "__dict__", {})
    kinds = [
        key
        for key, value in entries.items()
        if isinstance(value, torch.nn.Module) or (isinstance(value, type) and issubclass(value, torch.nn.Module))
    ]
    return sorted(kinds, key=lambda key: getattr(entries[key], "__module__", module) != module)


def _built(name: str, made_of: Any, given: dict[str, Any]) -> Any:
    import torch

    if isinstance(made_of, torch.nn.Module):
        if given:
            raise CnnkitError(f"`{name}` is an instance: it takes no arguments\nhelp: name its class, or leave `--arg` out")
        return made_of
    if not callable(made_of):
        raise CnnkitError(f"`{name}` is no class, factory or instance of torch.nn.Module: {type(made_of).__name__}")
    try:
        return made_of(**given)
    except (Exception, SystemExit) as error:
        hint = "\nhelp: `--arg NAME=VALUE` passes an argument" if isinstance(error, TypeError) else ""
        raise CnnkitError(f"`{name}` cannot be constructed: {_reason(error)}{hint}") from error


def _reason(error: BaseException) -> str:
    from ._export import reason

    return reason(error)
