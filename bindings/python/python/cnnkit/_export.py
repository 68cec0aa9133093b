"""From a live module to the bytes of an archive, without its weights."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import io
import json
import logging
import numbers
import os
import re
import sys
import threading
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
#: Most objects one inside the other in what a module returns.
MOST_LEVELS = 16
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
    _reject(inputs)
    if inputs and all(type(value) is int for value in inputs):
        given = ", ".join(str(value) for value in inputs)
        raise TypeError(f"a shape is one argument: ({given}{',' if len(inputs) == 1 else ''}), not {given}")
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

    def archived(*, strict: bool) -> bytes:
        nonlocal arguments, named
        single = None if strict else _first_images(model, arguments, named)
        archive = None
        if single is not None:
            # Not every module runs on one image alone.
            with contextlib.suppress(Exception):
                archive, unread = _archive(model, *single, written, weights, strict=False, alone=True)
                arguments, named = single
        if archive is None:
            archive, unread = _archive(model, arguments, named, written, weights, strict=strict)
        unknown.extend(unread)
        return archive

    ways: list[tuple[str, Callable[[], bytes]]] = [
        ("torch.export", lambda: archived(strict=False)),
        ("torch.export(strict=True)", lambda: archived(strict=True)),
    ]
    if importlib.util.find_spec("onnxscript") is not None:
        ways.append(("torch.onnx.export", lambda: _onnx(model, arguments, named)))
    failures: list[str] = []
    with _Evaluated(model), _Plain(model), torch.no_grad(), _Quiet():
        for name, way in ways:
            try:
                archive = way()
            except Exception as error:
                failures.append(f"{name}: {reason(error)}")
                if len(failures) == 1:
                    # Where the module itself fails, no other way of exporting it would be of use.
                    _run(model, arguments, named)
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
    raise CnnkitError(f"{type(model).__name__} cannot be exported:\n{reasons}\nhelp: {_remedy(failures)}")


def _reject(inputs: Sequence[Any]) -> None:
    """An error for what is meant as a shape, and is none."""
    for value in inputs:
        numbers_only = isinstance(value, (tuple, list)) and all(isinstance(size, (int, float)) for size in value)
        if isinstance(value, str) or (numbers_only and _sizes(value) is None):
            raise TypeError(f"a shape has whole numbers, without the batch, such as (3, 224, 224), not {value!r}")


def unwrapped(model: torch.nn.Module) -> torch.nn.Module:
    """The module that was written: without what compiles it or spreads it over devices. An error if it cannot be exported."""
    while True:
        compiled = type(model).__module__.startswith("torch._dynamo")
        inside = getattr(model, "_orig_mod", None) if compiled else None
        if isinstance(model, (torch.nn.DataParallel, torch.nn.parallel.DistributedDataParallel)):
            inside = model.module
        if not isinstance(inside, torch.nn.Module):
            break
        model = inside
    name = type(model).__name__
    if isinstance(model, torch.jit.ScriptModule):
        raise CnnkitError(
            f"{getattr(model, 'original_name', name)} is a TorchScript module, which cannot be exported\n"
            "help: give the module that it was made from"
        )
    lazy = [key for key, tensor in [*model.named_parameters(), *model.named_buffers()] if _has_no_shape(tensor)]
    if lazy:
        raise CnnkitError(
            f"{name} has parameters without a shape, which its first run gives them: {', '.join(lazy[:3])}"
            f"{', ...' if len(lazy) > 3 else ''}\nhelp: run it once on an example, then ask again"
        )
    return model


def _has_no_shape(tensor: torch.Tensor) -> bool:
    return isinstance(tensor, torch.nn.parameter.UninitializedTensorMixin)


def _run(model: torch.nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
    """Runs a module that could not be exported: an error if it cannot run with these inputs at all."""
    try:
        model(*arguments, **named)
    except Exception as error:
        given = [tensor for tensor in tree_leaves((arguments, named)) if isinstance(tensor, torch.Tensor)]
        # A tensor without numbers has none to decide by: that is no fault of the inputs.
        if any(tensor.is_meta for tensor in given) and (isinstance(error, NotImplementedError) or "meta" in str(error)):
            return
        shapes = [list(tensor.shape) for tensor in given]
        remedy = "give each shape without the batch, such as (3, 224, 224), in the order of `forward`, or example tensors"
        if "missing the required" in str(error):
            remedy = "give a module that has a `forward`: `nn.Sequential(*modules)` runs a list one after another"
        elif "indices" in str(error) or "Long" in str(error):
            remedy = "where whole numbers are wanted, give an example: `torch.zeros(1, 77, dtype=torch.long)`"
        raise CnnkitError(
            f"{type(model).__name__} does not run with inputs of {', '.join(map(str, shapes)) or 'no shape'}, "
            f"the batch first: {reason(error)}\nhelp: {remedy}"
        ) from None


def _remedy(failures: list[str]) -> str:
    """What to do where a module runs, but cannot be exported."""
    text = " ".join(failures).lower()
    if "data-dependent" in text or "data dependent" in text:
        return (
            "steps that depend on the data cannot be exported: "
            "a detector is analysed in parts, its backbone, its neck, its heads"
        )
    if "packedparams" in text or "quantized" in text:
        return "a quantised module cannot be exported: analyse the module that it was made from"
    if "unsupported output type" in text or "unsupported input type" in text or "pytree" in text or "known type" in text:
        return "register the class of what `forward` takes or returns: `torch.export.register_dataclass(Class)`"
    return "export a part of it: its backbone, its neck, its heads"


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


def _sizes(value: Any) -> list[int] | None:
    """The sizes of a shape, whose integers may be NumPy's; none for anything else."""
    if not isinstance(value, (tuple, list)) or not value:
        return None
    if not all(isinstance(size, numbers.Integral) and not isinstance(size, bool) for size in value):
        return None
    return [int(size) for size in value]


def _example(value: Any, device: torch.device, dtype: torch.dtype, drawn: torch.Generator | None = None) -> Any:
    """A tensor for a shape without the batch; tensors, also in dictionaries and lists, as they are."""
    sizes = _sizes(value)
    if sizes is not None:
        if min(sizes) < 1:
            raise ValueError(f"a shape has positive sizes, not {value!r}")
        if drawn is not None and device.type != "meta":
            return torch.randn(1, *sizes, generator=drawn).to(device, dtype)
        return torch.zeros(1, *sizes, device=device, dtype=dtype)
    if isinstance(value, torch.Tensor):
        return value.detach().to(device)
    if hasattr(value, "__array__") and not isinstance(value, (int, float, complex)):
        return torch.as_tensor(value).to(device)
    if isinstance(value, dict):
        return {key: _example(item, device, dtype, drawn) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        items = [_example(item, device, dtype, drawn) for item in value]
        # A named tuple takes its items one by one.
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
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


class _Quiet:
    """Without what PyTorch logs and prints while it fails: the error says it."""

    def __enter__(self) -> None:
        self.printed = contextlib.ExitStack()
        self.printed.enter_context(contextlib.redirect_stdout(io.StringIO()))
        self.printed.enter_context(contextlib.redirect_stderr(io.StringIO()))
        self.disabled = logging.root.manager.disable
        self.caught = warnings.catch_warnings()
        self.caught.__enter__()
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)

    def __exit__(self, *error: Any) -> None:
        logging.disable(self.disabled)
        self.caught.__exit__(*error)
        self.printed.close()


class _Plain:
    """The module with outputs that can be exported: objects without meaning to PyTorch are what they consist of."""

    def __init__(self, model: torch.nn.Module) -> None:
        self.model = model

    def __enter__(self) -> None:
        self.hook = self.model.register_forward_hook(lambda _module, _inputs, output: _plain(output))

    def __exit__(self, *_: object) -> None:
        self.hook.remove()


def _plain(value: Any, depth: int = 0) -> Any:
    """Tensors, numbers, lists and dictionaries; objects, also named tuples, become those of their parts that have tensors."""
    if isinstance(value, torch.Tensor) or depth > MOST_LEVELS:
        return value
    if isinstance(value, dict):
        return {key: _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(item, depth + 1) for item in value]
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
        return value
    parts = {key: _plain(item, depth + 1) for key, item in getattr(value, "__dict__", {}).items()}
    parts = {key: item for key, item in parts.items() if any(isinstance(leaf, torch.Tensor) for leaf in tree_leaves(item))}
    return parts or value


def _archive(
    model: torch.nn.Module,
    arguments: tuple[Any, ...],
    named: dict[str, Any],
    written: Callable[[torch.export.ExportedProgram], dict[str, Any] | None],
    weights: bool,
    *,
    strict: bool,
    alone: bool = False,
) -> tuple[bytes, list[str]]:
    """The archive of a module, and what is said of tensors that are not in it. ``alone`` is whether each output must be of one
    image."""
    program = torch.export.export(model, arguments, named or None, strict=strict)
    if alone and not all(_is_single(program, name) for name in program.graph_signature.user_outputs):
        raise ValueError("its outputs are not of one image")
    extra = {"cnnkit_ties.json": json.dumps(_ties(model))}
    source = written(program)
    if source is not None:
        extra["cnnkit_source.json"] = json.dumps(source)
    if not weights:
        _drop(program.state_dict, MOST_INDICES, whole_only=True)
        _drop(program.constants, MOST_NUMBERS, whole_only=False)
    # The example would be saved too, and how the inputs lie in objects, which not every class can be saved in.
    program.example_inputs = None
    for entry in program.module_call_graph:
        entry.signature = None
    archive = io.BytesIO()
    with _Unchecked():
        torch.export.save(program, archive, extra_files=extra)
    return archive.getvalue(), _unread(model, program)


def _first_images(
    model: torch.nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    """The first image of a batch of examples, as figures are those of one, for a module with ``nn.MultiheadAttention``: that
    joins images and heads, which would have to be told apart again. None where the first axis may not be the batch."""
    if not any(isinstance(module, torch.nn.MultiheadAttention) for module in model.modules()):
        return None
    tensors = [leaf for leaf in tree_leaves((arguments, named)) if isinstance(leaf, torch.Tensor)]
    sizes = {tensor.shape[0] if tensor.dim() > 1 else 1 for tensor in tensors}
    # Two axes with real numbers are a batch of vectors as well as a sequence.
    unclear = any(tensor.dim() == 2 and tensor.is_floating_point() for tensor in tensors)
    later = any(getattr(module, "batch_first", True) is False for module in model.modules())
    if len(sizes) != 1 or sizes == {1} or unclear or later:
        return None
    first: tuple[tuple[Any, ...], dict[str, Any]] = tree_map(
        lambda leaf: leaf[:1] if isinstance(leaf, torch.Tensor) else leaf, (arguments, named)
    )
    return first


def _is_single(program: torch.export.ExportedProgram, name: object) -> bool:
    """Whether an output is of one image."""
    node = next((node for node in program.graph.nodes if node.name == name), None)
    value = None if node is None else node.meta.get("val")
    return not isinstance(value, torch.Tensor) or value.dim() == 0 or value.shape[0] == 1


def _unread(model: torch.nn.Module, program: torch.export.ExportedProgram) -> list[str]:
    """What is said of tensors of the module that the program does not list: strict exports leave out what nothing reads."""
    listed = {spec.target for spec in program.graph_signature.input_specs}
    said = []
    for what, own in (("parameters", model.named_parameters()), ("buffers", model.named_buffers())):
        missing = [(name, tensor.numel()) for name, tensor in own if name not in listed]
        if missing:
            elements = sum(count for _, count in missing)
            names = ", ".join(name for name, _ in missing[:3]) + (", ..." if len(missing) > 3 else "")
            said.append(f"{elements} elements of {what} that nothing reads are not counted: {names}")
    return said


class _Unchecked:
    """Without PyTorch's check, while it saves a program, that there is a canonical form of it: a copy of the whole program, of
    which nothing is kept. The archive is the same, and most of the time is saved. Where PyTorch has no such check, nothing
    changes."""

    #: One at a time, so that the last to leave puts back what the first found.
    lock = threading.Lock()

    def __enter__(self) -> None:
        self.lock.acquire()
        self.module: Any = sys.modules.get("torch._export.serde.serialize")
        self.own = getattr(self.module, "canonicalize", None)
        if self.own is not None:
            setattr(self.module, "canonicalize", lambda program, *_, **__: program)

    def __exit__(self, *_: object) -> None:
        if self.own is not None:
            setattr(self.module, "canonicalize", self.own)
        self.lock.release()


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
    # Exporters wrap what they failed of.
    if type(error).__name__ == "TorchExportError" and error.__cause__ is not None:
        return reason(error.__cause__)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    foreign = tuple(os.path.dirname(os.path.abspath(file)) + os.sep for file in (torch.__file__, __file__))
    inside = [frame for frame in frames if not frame.filename.startswith(("<", *foreign))]
    if isinstance(error, SyntaxError) and error.filename:
        return f"{type(error).__name__}: {error.msg} ({error.filename}:{error.lineno}: {(error.text or '').strip()})"
    # A compiler reports the user's code in its message.
    said = [line for line in re.findall(r'File "([^"]+)", line (\d+)', str(error)) if not line[0].startswith(("<", *foreign))]
    if inside:
        last = inside[-1]
        text = f"{text} ({last.filename}:{last.lineno}: {last.line})"
    elif said:
        text = f"{text} ({said[-1][0]}:{said[-1][1]})"
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    return f"{type(error).__name__}: {text}"
