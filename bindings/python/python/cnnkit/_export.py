"""From a live module to the bytes of an archive, without its weights."""

from __future__ import annotations

import ctypes
import importlib.util
import io
import json
import os
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils._pytree import tree_leaves, tree_map

from . import _source
from ._native import CnnkitError
from ._result import Computed

#: Most elements of a tensor that stays as it is if it has whole numbers: indices, not weights.
MOST_INDICES = 1 << 22
#: Most elements of a tensor that stood in the code and stays as it is.
MOST_NUMBERS = 64


@dataclass
class Exported:
    """An archive, and what there is to say about how it was made."""

    archive: bytes
    remarks: list[str] = field(default_factory=list)
    #: What the module computes, if the weights are in the archive.
    computed: Computed | None = None


def export(
    model: torch.nn.Module,
    inputs: Sequence[Any],
    keywords: Mapping[str, Any],
    *,
    origin: object = None,
    uses: _source.Uses | None = None,
    weights: bool = False,
) -> Exported:
    """Exports ``model`` for these inputs: shapes without the batch, or example tensors.

    With ``origin``, the class or function that made it, the archive states where its layers were written; ``uses`` returns
    the calls that constructed a module, if they were recorded. With ``weights`` the archive has the weights, and what the
    module computes goes with it.
    """
    if not inputs and not keywords:
        raise TypeError("give the shape of each input without the batch, such as (3, 224, 224), or example tensors")
    unknown: list[str] = []

    def written(program: torch.export.ExportedProgram) -> dict[str, Any] | None:
        try:
            return None if origin is None else _source.written(model, program, uses, origin)
        except Exception as error:
            # The figures do not depend on it.
            unknown.append(f"where the layers were written is not known: {reason(error)}")
            return None

    device, dtype = _place(model)
    # An exported network does not depend on the values; what it computes does.
    drawn = torch.Generator().manual_seed(0) if weights else None
    arguments = tuple(_example(value, device, dtype, drawn) for value in inputs)
    named = {name: _example(value, device, dtype, drawn) for name, value in keywords.items()}
    ways: list[tuple[str, Callable[[], bytes]]] = [
        ("torch.export", lambda: _archive(model, arguments, named, written, weights, strict=False)),
        ("torch.export(strict=True)", lambda: _archive(model, arguments, named, written, weights, strict=True)),
    ]
    if importlib.util.find_spec("onnxscript") is not None:
        ways.append(("torch.onnx.export", lambda: _onnx(model, arguments, named)))
    failures: list[str] = []
    with _Evaluated(model), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, way in ways:
            try:
                archive = way()
            except Exception as error:
                failures.append(f"{name}: {reason(error)}")
                continue
            said = [*(f"{failure}; read by {name} instead" for failure in failures), *unknown]
            computed = None
            if weights:
                try:
                    computed = _computed(model, arguments, named)
                except Exception as error:
                    said.append(f"not compared with PyTorch: {reason(error)}")
            return Exported(archive, said, computed)
    reasons = "\n".join(f"  {failure}" for failure in failures)
    raise CnnkitError(
        f"{type(model).__name__} cannot be exported:\n{reasons}\n"
        "help: a detector whose last steps depend on the data is analysed in parts: its backbone, its neck, its heads"
    )


def _place(model: torch.nn.Module) -> tuple[torch.device, torch.dtype]:
    """Where the module's weights are, and their type."""
    for tensor in [*model.parameters(), *model.buffers()]:
        if tensor.is_floating_point():
            return tensor.device, tensor.dtype
    return torch.device("cpu"), torch.get_default_dtype()


def _computed(model: torch.nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> Computed:
    """What a module returns for these inputs, in double precision, and how far that is from single precision."""
    given = [tensor for tensor in tree_leaves((arguments, named)) if isinstance(tensor, torch.Tensor)]
    if any(tensor.is_meta for tensor in [*given, *model.parameters(), *model.buffers()]):
        raise ValueError("the module has no weights: it is on the meta device")

    def double(value: Any) -> Any:
        return value.double() if isinstance(value, torch.Tensor) and value.is_floating_point() else value

    single = tree_leaves(model(*arguments, **named))
    own = {name: double(tensor) for name, tensor in [*model.named_parameters(), *model.named_buffers()]}
    exact = torch.func.functional_call(model, own, tree_map(double, arguments), tree_map(double, named))
    outputs = []
    for result, other in zip(tree_leaves(exact), single, strict=True):
        if isinstance(result, torch.Tensor) and result.is_floating_point():
            error = (result - other.double()).abs().nan_to_num(0.0).max().item() if result.numel() else 0.0
            outputs.append((list(result.shape), _bytes(result), error))
    return [(list(tensor.shape), _bytes(tensor)) for tensor in given], outputs


def _bytes(tensor: torch.Tensor) -> bytes:
    """The elements of a tensor in single precision."""
    flat = tensor.detach().to("cpu", torch.float32).contiguous().view(-1)
    return ctypes.string_at(flat.data_ptr(), 4 * flat.numel()) if flat.numel() else b""


def _example(value: Any, device: torch.device, dtype: torch.dtype, drawn: torch.Generator | None = None) -> Any:
    """A tensor for a shape without the batch; tensors, also in dictionaries and lists, as they are."""
    if isinstance(value, (tuple, list, torch.Size)) and value and all(type(size) is int for size in value):
        if drawn is not None and device.type != "meta":
            return torch.randn(1, *value, generator=drawn).to(device, dtype)
        return torch.zeros(1, *value, device=device, dtype=dtype)
    if isinstance(value, torch.Tensor):
        return value.detach().to(device)
    if isinstance(value, dict):
        return {key: _example(item, device, dtype, drawn) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return type(value)(_example(item, device, dtype, drawn) for item in value)
    return value


class _Evaluated:
    """The module in evaluation mode, and afterwards as it was."""

    def __init__(self, model: torch.nn.Module) -> None:
        self.modes = [(module, module.training) for module in model.modules()]

    def __enter__(self) -> None:
        for module, _ in self.modes:
            module.training = False

    def __exit__(self, *_: object) -> None:
        for module, training in self.modes:
            module.training = training


def _archive(
    model: torch.nn.Module,
    arguments: tuple[Any, ...],
    named: dict[str, Any],
    written: Callable[[torch.export.ExportedProgram], dict[str, Any] | None],
    weights: bool,
    *,
    strict: bool,
) -> bytes:
    program = torch.export.export(model, arguments, named or None, strict=strict)
    extra = {"cnnkit_ties.json": json.dumps(_ties(model))}
    source = written(program)
    if source is not None:
        extra["cnnkit_source.json"] = json.dumps(source)
    if not weights:
        _drop(program.state_dict, MOST_INDICES, whole_only=True)
        _drop(program.constants, MOST_NUMBERS, whole_only=False)
    # The example would be saved too.
    program.example_inputs = None
    archive = io.BytesIO()
    torch.export.save(program, archive, extra_files=extra)
    return archive.getvalue()


def _drop(tensors: dict[str, Any], most: int, *, whole_only: bool) -> None:
    """Replaces tensors by descriptions of them; what is left are indices and numbers in the code."""
    for name, tensor in list(tensors.items()):
        if not isinstance(tensor, torch.Tensor):
            continue
        whole = not tensor.is_floating_point() and not tensor.is_complex()
        kept = tensor.numel() <= (MOST_INDICES if whole else most) and (whole or not whole_only)
        if kept:
            continue
        empty = torch.empty_strided(tensor.size(), tensor.stride(), dtype=tensor.dtype, device="meta")
        if isinstance(tensor, torch.nn.Parameter):
            tensors[name] = torch.nn.Parameter(empty, requires_grad=tensor.requires_grad)
        else:
            tensors[name] = empty


def _ties(model: torch.nn.Module) -> dict[str, str]:
    """For each name of a tensor that has several, the first of them."""
    names: dict[int, list[str]] = {}
    for name, tensor in [
        *model.named_parameters(remove_duplicate=False),
        *model.named_buffers(remove_duplicate=False),
    ]:
        names.setdefault(id(tensor), []).append(name)
    return {name: group[0] for group in names.values() if len(group) > 1 for name in group}


def _onnx(model: torch.nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> bytes:
    program = torch.onnx.export(model, arguments, kwargs=named or None, dynamo=True, verbose=False)
    if program is None:
        raise RuntimeError("it returned nothing")
    model_proto: bytes = program.model_proto.SerializeToString()
    return model_proto


def reason(error: BaseException) -> str:
    """The first line of an error, with the line of the user's code where it happened."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    inside = [frame for frame in frames if "/torch/" not in frame.filename and not frame.filename.startswith("<")]
    inside = [frame for frame in inside if os.path.dirname(frame.filename) != os.path.dirname(__file__)]
    if inside:
        last = inside[-1]
        text = f"{text} ({last.filename}:{last.lineno}: {last.line})"
    return f"{type(error).__name__}: {text}"
