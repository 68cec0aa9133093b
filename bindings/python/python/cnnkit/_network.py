"""What can be named as a network, as the program's SPEC argument."""

from __future__ import annotations

import os
import re
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


def _kind(data: bytes) -> str:
    """The ending of a model's name, by how its bytes begin."""
    if data[:4] == b"PK\x03\x04":
        return "pt2"
    return "onnx" if data[:1] in (b"\x08", b"\x12", b"\x1a") else "yaml"


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

        model = _export.unwrapped(model)
        exported = _export.export(model, inputs, keywords, origin=type(model) if written else None, weights=weights)
        kind = _kind(exported.archive)
        # A name is one word of the program's arguments, and no option.
        own = re.sub(r"[^\w.-]", "_", type(model).__name__).lstrip("-") or "network"
        name = name or f"{own}.{kind}"
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
        name = name or f"network.{_kind(data)}"
        return Network(name, {name: data}, replaced)
    if isinstance(model, str) and "\n" in model:
        name = name or "network.yaml"
        return Network(name, {name: model.encode()}, replaced)
    if isinstance(model, (str, os.PathLike)):
        return Network(os.fspath(model), {}, replaced)
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(model, torch.export.ExportedProgram):
        raise TypeError("an exported program: give the file that `torch.export.save` wrote, or `program.module()` and an input")
    if isinstance(model, type) or hasattr(model, "__code__"):
        name = getattr(model, "__name__", type(model).__name__)
        how = f"its instance, `{name}()`" if isinstance(model, type) else f"what it returns, `{name}()`, if that is a module"
        raise TypeError(f"`{name}` is a {'class' if isinstance(model, type) else 'function'}: give {how}")
    raise TypeError(
        f"a network is a torch.nn.Module, a path, `zoo:NAME`, bytes or the text of a spec, not {type(model).__name__}"
    )
