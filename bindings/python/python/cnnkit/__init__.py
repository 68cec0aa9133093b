"""Parameters, MACs, shapes, memory and receptive fields of a convolutional network.

>>> import cnnkit
>>> cnnkit.summary("zoo:resnet50").params
25557032

A network is a live ``torch.nn.Module``, the path of a spec (``.yaml``) or model (``.onnx``, ``.pt2``), a built-in network
(``zoo:NAME``), the bytes of a model, or the text of a spec. PyTorch is imported only for a live module.
"""

from ._api import (
    channels,
    check,
    diff,
    gridding,
    hdc_check,
    load,
    paths,
    rf,
    sizes,
    summary,
    verify,
)
from ._native import CnnkitError
from ._native import version as __version__
from ._network import Network
from ._result import Result


def version() -> str:
    """Returns the version of cnnkit.

    >>> version().count(".")
    2
    """
    return __version__


__all__ = [
    "CnnkitError",
    "Network",
    "Result",
    "__version__",
    "channels",
    "check",
    "diff",
    "gridding",
    "hdc_check",
    "load",
    "paths",
    "rf",
    "sizes",
    "summary",
    "verify",
    "version",
]
