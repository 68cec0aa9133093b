"""The program ``cnnkit``: the same one as the Rust package builds."""

import signal
import sys
from collections.abc import Sequence

from . import _native


def main() -> int:
    """Runs the program with the arguments of the process."""
    # Python's handler would wait for the program to return.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return _native.program(sys.argv, _imported)


def _imported(name: str, inputs: Sequence[tuple[str, Sequence[int]]], arguments: Sequence[tuple[str, str]]) -> bytes:
    # PyTorch is imported only if a network of Python is named.
    from ._objects import archive

    return archive(name, inputs, arguments)
