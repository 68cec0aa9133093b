"""Where modules are constructed, recorded while it happens."""

from __future__ import annotations

import functools
import sys
from dataclasses import dataclass
from types import CodeType, FrameType, TracebackType
from typing import Any

import torch

from ._text import Use, is_foreign, text

#: Names of code that is no function of its own.
TRANSPARENT = ("<lambda>", "<listcomp>", "<genexpr>", "<dictcomp>", "<setcomp>")


@dataclass(frozen=True)
class Frame:
    """A place in running code, and the object whose constructor that is."""

    code: CodeType
    instruction: int
    line: int
    owner: int | None
    owner_name: str


def _frame(frame: FrameType) -> Frame:
    code = frame.f_code
    owner: Any = None
    if code.co_name == "__init__" and code.co_argcount:
        owner = frame.f_locals.get(code.co_varnames[0])
    if not isinstance(owner, torch.nn.Module):
        return Frame(code, frame.f_lasti, frame.f_lineno, None, "")
    return Frame(code, frame.f_lasti, frame.f_lineno, id(owner), type(owner).__name__)


class Recorder:
    """Records where modules are constructed while it is entered.

    ``torch.nn.Module.__init__`` is wrapped for that time, and the frames on the stack are noted: a loop, a factory or a
    subclass needs no understanding.
    """

    def __init__(self) -> None:
        # The modules are kept: no other one gets the identity of one that is no longer used.
        self._made: dict[int, tuple[torch.nn.Module, list[Frame]]] = {}

    def __enter__(self) -> Recorder:
        original = torch.nn.Module.__init__
        self._original = original

        @functools.wraps(original)
        def init(module: torch.nn.Module, *args: Any, **kwargs: Any) -> None:
            self._note(module, sys._getframe(1))
            original(module, *args, **kwargs)

        setattr(torch.nn.Module, "__init__", init)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        setattr(torch.nn.Module, "__init__", self._original)

    def _note(self, module: torch.nn.Module, frame: FrameType | None) -> None:
        if id(module) in self._made:
            return
        frames = []
        while frame is not None and frame.f_code.co_filename != __file__:
            frames.append(_frame(frame))
            frame = frame.f_back
        self._made[id(module)] = (module, frames)

    def uses(self, module: torch.nn.Module) -> list[Use]:
        """The calls that constructed a module, innermost first; none if it was not recorded."""
        made = self._made.get(id(module))
        if made is None:
            return []
        calls = _calls(made[1], id(module), type(module).__name__)
        own = [call for call in calls if not is_foreign(call[1].code.co_filename)]
        return [_use(name, frame) for name, frame in own or calls]


def _calls(frames: list[Frame], owner: int | None, name: str) -> list[tuple[str, Frame]]:
    """What was called, with the frame that called it, innermost first."""
    calls: list[tuple[str, Frame]] = []
    at = 0
    while True:
        # The constructors of one object call each other.
        while owner is not None and at < len(frames) and frames[at].owner == owner:
            at += 1
        if at >= len(frames):
            return calls
        frame = frames[at]
        if name:
            calls.append((name, frame))
        owner = frame.owner
        name = frame.owner_name
        if owner is None:
            name = "" if frame.code.co_name in (*TRANSPARENT, "<module>") else frame.code.co_name
            at += 1


def _use(name: str, frame: Frame) -> Use:
    source = text(frame.code.co_filename)
    call = source.call_at(frame.line, _position(frame), name)
    if call is not None:
        return Use(name, source.callee(call))
    return Use(name, source.line(frame.line) or source.range(1, 0, 0))


def _position(frame: Frame) -> tuple[int, int, int] | None:
    """Last line, first and last column of the call that a frame executes: Python 3.11 and later know them."""
    if sys.version_info < (3, 11):
        return None
    positions = list(frame.code.co_positions())
    index = frame.instruction // 2
    if index >= len(positions):
        return None
    _, end_line, column, end = positions[index]
    if end_line is None or column is None or end is None:
        return None
    return end_line, column, end
