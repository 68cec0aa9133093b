"""The examples of every layer, as specs of one layer."""

import functools
import json

import specs


@functools.cache
def examples():
    """Names and specs: one for each example of each layer of the vocabulary."""
    found = []
    for kind in json.loads(specs.cnnkit("layers", "--format", "json"))["layers"]:
        layer = json.loads(specs.cnnkit("layers", kind["name"], "--format", "json"))
        for number, example in enumerate(layer["examples"]):
            inputs = {f"x{i}": shape for i, shape in enumerate(example["inputs"])}
            name = layer["name"]
            spec = {"input": inputs, "layers": [{"id": "layer", name: "ARGS", "from": list(inputs)}]}
            found.append((f"{name}-{number}", json.dumps(spec).replace('"ARGS"', example["args"])))
    return found
