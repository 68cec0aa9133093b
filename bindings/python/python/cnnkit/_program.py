"""The program ``cnnkit``: the same one as the Rust package builds."""

import signal
import sys

from . import _native


def main() -> int:
    """Runs the program with the arguments of the process."""
    # Python's handler would wait for the program to return.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return _native.program(sys.argv)
