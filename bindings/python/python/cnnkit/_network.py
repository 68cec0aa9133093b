"""What can be named as a network, as the program's SPEC argument."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from ._result import Computed

if TYPE_CHECKING:
    import torch

    #: A live module, a path, ``zoo:NAME``, the bytes of a model, the text of a spec, or what ``load`` returned.
    Model: TypeAlias = "torch.nn.Module | str | os.PathLike[str] | bytes | Network"
else:
    Model = Any


class Network:
    """A network that was loaded once and can be analysed several times: ``load`` returns it."""

    def __init__(
        self,
        name: str,
        models: dict[str, bytes],
        replaced: Sequence[str] = (),
        remarks: Sequence[str] = (),
        computed: Computed | None = None,
    ) -> None:
        #: How messages name it.
        self.name = name
        self._models = models
        self._replaced = list(replaced)
        self._remarks = list(remarks)
        self._computed = computed

    def __repr__(self) -> str:
        return f"<cnnkit.Network {self.name}>"


def is_module(model: object) -> bool:
    """Whether ``model`` is a live module. A program that has one has imported PyTorch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(model, torch.nn.Module)


def network(
    model: Model,
    inputs: Sequence[Any],
    keywords: Mapping[str, Any] | None = None,
    variables: Mapping[str, object] | None = None,
    name: str | None = None,
    *,
    written: bool = False,
    weights: bool = False,
) -> Network:
    """The network that ``model`` names, with other inputs if ``inputs`` are given. ``written`` is whether messages show where
    the layers of a live module were written, ``weights`` whether its weights are handed over, and what it computes."""
    keywords, variables = keywords or {}, variables or {}
    if is_module(model):
        if variables:
            raise TypeError("`set` replaces variables of a spec; a live module has none")
        from . import _export

        exported = _export.export(model, inputs, keywords, origin=type(model) if written else None, weights=weights)
        name = name or f"{type(model).__name__}.pt2"
        return Network(name, {name: exported.archive}, remarks=exported.remarks, computed=exported.computed)
    if keywords:
        raise TypeError(f"unknown arguments: {', '.join(keywords)}; only a live module has arguments of its own")
    replaced = [f"--set={key}={value}" for key, value in variables.items()]
    for shape in inputs:
        if not isinstance(shape, Sequence) or isinstance(shape, str):
            raise TypeError(f"a shape without the batch is wanted, such as (3, 224, 224), not {shape!r}")
        replaced.append("--input=" + ",".join(str(size) for size in shape))
    if isinstance(model, Network):
        return Network(model.name, model._models, [*model._replaced, *replaced], model._remarks)
    if isinstance(model, (bytes, bytearray, memoryview)):
        data = bytes(model)
        kind = "pt2" if data[:4] == b"PK\x03\x04" else "onnx" if data[:1] in (b"\x08", b"\x12", b"\x1a") else "yaml"
        name = name or f"network.{kind}"
        return Network(name, {name: data}, replaced)
    if isinstance(model, str) and "\n" in model:
        name = name or "network.yaml"
        return Network(name, {name: model.encode()}, replaced)
    if isinstance(model, (str, os.PathLike)):
        return Network(os.fspath(model), {}, replaced)
    raise TypeError(
        f"a network is a torch.nn.Module, a path, `zoo:NAME`, bytes or the text of a spec, not {type(model).__name__}"
    )
