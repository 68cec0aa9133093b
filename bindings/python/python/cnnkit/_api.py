"""The commands as functions."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from ._network import Model, Network, is_module, network
from ._result import Result, call


def _options(options: Mapping[str, object]) -> list[str]:
    """Options of a command: ``fail_on="note"`` is ``--fail-on=note``, ``exact=True`` is ``--exact``."""
    words: list[str] = []
    for name, value in options.items():
        option = "--" + name.replace("_", "-")
        if value is None or value is False:
            continue
        if value is True:
            words.append(option)
        elif isinstance(value, (list, tuple)):
            words.append(f"{option}=" + ",".join(str(item) for item in value))
        else:
            words.append(f"{option}={value}")
    return words


def _run(command: str, source: Network, options: Mapping[str, object]) -> Result:
    words = [command, *_options(options), *source._replaced, "--", source.name]
    return call(words, source._models, source._remarks, source._computed)


def load(
    model: Model,
    *inputs: Any,
    set: Mapping[str, object] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    name: str | None = None,
) -> Network:
    """Loads a network, so that several functions analyse it: a live module is exported once.

    ``inputs`` are shapes without the batch, or example tensors of a live module; ``kwargs`` are keyword arguments of its
    ``forward``; ``set`` replaces variables of a spec; ``name`` is how messages name it.

    >>> network = load("zoo:resnet18", (3, 64, 64))
    >>> summary(network).params
    11689512
    """
    return network(model, inputs, kwargs, set, name, written=True)


def summary(
    model: Model,
    *inputs: Any,
    depth: int | str | None = None,
    by: str | None = None,
    sort: str | None = None,
    top: int | None = None,
    batch: int | None = None,
    dtype: str | None = None,
    convention: str | None = None,
    set: Mapping[str, object] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    **keywords: Any,
) -> Result:
    """Counts parameters, MACs and memory, layer by layer.

    ``inputs`` are shapes without the batch, or example tensors of a live module. Other keyword arguments go to the
    module's ``forward``; ``kwargs`` is for those that have the name of an option.

    >>> result = summary("zoo:resnet50", (3, 224, 224))
    >>> result.params, result.macs
    (25557032, 4089184256)
    """
    source = network(model, inputs, {**keywords, **(kwargs or {})}, set)
    options = {
        "depth": depth,
        "by": by,
        "sort": sort,
        "top": top,
        "batch": batch,
        "dtype": dtype,
        "convention": convention,
    }
    return _run("params", source, options)


def rf(
    model: Model,
    *inputs: Any,
    node: str | None = None,
    all: bool = False,
    exact: bool = False,
    effective: bool = False,
    unit: Sequence[int] | None = None,
    set: Mapping[str, object] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    **keywords: Any,
) -> Result:
    """Computes the receptive field of every layer.

    >>> field = rf("zoo:resnet18")
    >>> next(layer.size for layer in field.layers if layer.id == "stage4.basic_block2.add1")
    [435, 435]
    """
    source = network(model, inputs, {**keywords, **(kwargs or {})}, set)
    options = {"node": node, "all": all, "exact": exact, "effective": effective, "unit": unit}
    return _run("rf", source, options)


def check(
    model: Model,
    *inputs: Any,
    select: Sequence[str] | None = None,
    ignore: Sequence[str] | None = None,
    fail_on: str | None = None,
    set: Mapping[str, object] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    **keywords: Any,
) -> Result:
    """Runs the rules: ``findings`` has what they find, ``ok`` is false if there is a warning or an error.

    >>> check("zoo:resnet18").ok
    True

    For a live module, findings have the lines of its constructors: ``finding.file`` and ``finding.line``.
    """
    source = network(model, inputs, {**keywords, **(kwargs or {})}, set, written=True)
    return _run("check", source, {"select": select, "ignore": ignore, "fail_on": fail_on})


def verify(
    model: Model,
    *inputs: Any,
    set: Mapping[str, object] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    **keywords: Any,
) -> Result:
    """Runs the network with seeded weights and compares every predicted figure with a measurement.

    A live module is run with its own weights as well: what PyTorch computes is one more claim.

    >>> spec = "input: [3, 8, 8]\\nlayers:\\n  - conv: {out_channels: 4, kernel: 3}\\n"
    >>> verify(spec).ok
    True
    """
    source = network(model, inputs, {**keywords, **(kwargs or {})}, set, weights=True)
    return _run("verify", source, {})


def sizes(
    model: Model,
    *inputs: Any,
    near: Sequence[int] | None = None,
    set: Mapping[str, object] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    **keywords: Any,
) -> Result:
    """Finds the input sizes that fit the network.

    >>> sizes("zoo:resnet18").ok
    True
    """
    source = network(model, inputs, {**keywords, **(kwargs or {})}, set)
    return _run("sizes", source, {"near": near})


def channels(
    model: Model,
    *inputs: Any,
    set: Mapping[str, object] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    **keywords: Any,
) -> Result:
    """Finds which input channels each output channel depends on.

    >>> channels("zoo:resnet18").ok
    True
    """
    source = network(model, inputs, {**keywords, **(kwargs or {})}, set)
    return _run("channels", source, {})


def paths(
    model: Model,
    *inputs: Any,
    set: Mapping[str, object] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    **keywords: Any,
) -> Result:
    """Counts the paths from the inputs to the outputs, by their length.

    >>> paths("zoo:resnet18").outputs[0].paths
    256
    """
    source = network(model, inputs, {**keywords, **(kwargs or {})}, set)
    return _run("paths", source, {})


def gridding(
    model: Model | Sequence[int],
    *inputs: Any,
    kernel: int | None = None,
    set: Mapping[str, object] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    **keywords: Any,
) -> Result:
    """Finds the holes of dilated convolutions: of a network, or of a stack with these rates.

    >>> gridding([2, 2, 2]).ok
    True
    """
    return _rates("gridding", model, inputs, {**keywords, **(kwargs or {})}, set, {"kernel": kernel})


def hdc_check(
    model: Model | Sequence[int],
    *inputs: Any,
    kernel: int | None = None,
    set: Mapping[str, object] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    **keywords: Any,
) -> Result:
    """Checks the rule of hybrid dilated convolution: of a network, or of a stack with these rates.

    >>> hdc_check([1, 2, 5]).ok, hdc_check([2, 4, 8]).ok
    (True, False)
    """
    return _rates("hdc-check", model, inputs, {**keywords, **(kwargs or {})}, set, {"kernel": kernel})


def _rates(
    command: str,
    model: Any,
    inputs: Sequence[Any],
    keywords: Mapping[str, Any],
    variables: Mapping[str, object] | None,
    options: Mapping[str, object],
) -> Result:
    if isinstance(model, (list, tuple)):
        rates = ",".join(str(rate) for rate in model)
        return call([command, *_options(options), rates], {})
    return _run(command, network(model, inputs, keywords, variables), options)


def _path_of(model: Model) -> str | None:
    """The path that names a network."""
    return os.fspath(model) if isinstance(model, (str, os.PathLike)) else None


def diff(
    old: Model,
    new: Model,
    *inputs: Any,
    fail_if: Sequence[str] = (),
    kwargs: Mapping[str, Any] | None = None,
) -> Result:
    """Compares two networks: figures, and layers that pair by their paths. ``inputs`` are those of both.

    >>> diff("zoo:resnet18", "zoo:resnet50").quantities[0].new
    25557032
    """
    sides = []
    models: dict[str, bytes] = {}
    remarks: list[str] = []
    replaced: list[str] = []
    for number, model in enumerate((old, new)):
        given = inputs if is_module(model) else ()
        side = network(model, given, kwargs if is_module(model) else None)
        name = side.name
        if side._models and (name in sides or name == _path_of(new)):
            # A name in memory is no file's, and no other network's.
            stem, _, ending = name.rpartition(".")
            name = f"{stem} ({'new' if number else 'old'}).{ending}"
        models.update({name: data for data in side._models.values()})
        sides.append(name)
        remarks.extend(side._remarks)
        replaced.extend(word for word in side._replaced if word not in replaced)
    conditions = [f"--fail-if={condition}" for condition in fail_if]
    return call(["diff", *conditions, *replaced, "--", *sides], models, remarks)
