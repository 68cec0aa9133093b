"""`cnnkit export`: the model is valid, and ONNX Runtime's output is the executor's."""

import pytest

np = pytest.importorskip("numpy", reason="needs numpy")
onnx = pytest.importorskip("onnx", reason="needs onnx")
ort = pytest.importorskip("onnxruntime", reason="needs onnxruntime")

import layers
import specs


def session(path):
    """ONNX Runtime's session; skipped for an operator that this version does not have on the CPU."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        if "NOT_IMPLEMENTED" in str(error) and "DeformConv" in str(error):
            return None
        raise


def inputs_of(model, batch=1):
    """Random values for the model's inputs."""
    random = np.random.default_rng(0)
    sizes = lambda value: [d.dim_value or batch for d in value.type.tensor_type.shape.dim]
    return {v.name: random.standard_normal(sizes(v)).astype(np.float32) for v in model.graph.input}


def check(arguments, tmp_path, batch=1, options=()):
    """Exports, checks, runs both."""
    path = tmp_path / "net.onnx"
    specs.cnnkit("export", *arguments, "-o", path, *options)
    onnx.checker.check_model(str(path), full_check=True)
    model = onnx.load(path)
    # Every value has a type and a shape, and ONNX's own inference agrees with them.
    inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    known = {v.name for v in [*inferred.graph.value_info, *inferred.graph.output]}
    assert {name for node in model.graph.node for name in node.output} <= known

    given = inputs_of(model, batch)
    files = []
    for name, value in given.items():
        np.save(tmp_path / f"{name}.npy", value)
        files += ["--input", f"{name}={tmp_path / name}.npy"]
    specs.cnnkit("run", *arguments, *files, "-o", tmp_path / "out.npz")
    wanted = np.load(tmp_path / "out.npz")
    running = session(path)
    if running is not None:
        found = running.run(None, given)
    else:
        reference = pytest.importorskip("onnx.reference")
        found = reference.ReferenceEvaluator(model).run(None, given)
    assert len(found) == len(wanted.files)
    for value, name in zip(found, wanted.files):
        assert value.shape == wanted[name].shape
        assert np.isfinite(wanted[name]).all()
        np.testing.assert_allclose(value, wanted[name], rtol=1e-3, atol=1e-4 * max(np.abs(wanted[name]).max(), 1e-3))
    return model


@pytest.mark.parametrize("name", specs.names())
def test_networks(name, tmp_path):
    model = check(specs.arguments(name), tmp_path)
    # Ids are the names, and the initialisers are the weights.
    figures = specs.params(name)
    names = {node.name for node in model.graph.node}
    assert {layer["id"] for layer in figures["layers"] if layer["op"] != "input"} <= names
    owned = sum(int(np.prod(t.dims)) for t in model.graph.initializer if "/" not in t.name)
    assert owned == figures["totals"]["params"] + figures["totals"]["buffers"]


# What ONNX cannot say, with the words of the refusal.
REFUSED = {"deform_sample-2": "not supported in ONNX: `deform_sample` with learned offsets"}


@pytest.mark.parametrize("name,spec", layers.examples(), ids=[name for name, _ in layers.examples()])
def test_layers(name, spec, tmp_path):
    path = tmp_path / "net.yaml"
    path.write_text(spec)
    if name in REFUSED:
        done = specs.attempt("export", path, "-o", tmp_path / "net.onnx")
        assert done.returncode == 2 and REFUSED[name] in done.stderr
        return
    # Declared weights of norms and offsets are 0 or 1: random ones, so that they matter.
    specs.cnnkit("run", path, "--save-weights", tmp_path / "weights.npz")
    random = np.random.default_rng(1)
    weights = {k: v + random.uniform(0, 0.5, v.shape).astype(np.float32) for k, v in np.load(tmp_path / "weights.npz").items()}
    if not weights:
        check([path], tmp_path)
        return
    np.savez(tmp_path / "weights.npz", **weights)
    check_weighted(path, tmp_path)


def check_weighted(path, tmp_path):
    """The same with weights from a file."""
    options = ["--weights", tmp_path / "weights.npz"]
    model_path = tmp_path / "net.onnx"
    specs.cnnkit("export", path, "-o", model_path, *options)
    onnx.checker.check_model(str(model_path), full_check=True)
    model = onnx.load(model_path)
    given = inputs_of(model)
    files = []
    for name, value in given.items():
        np.save(tmp_path / f"{name}.npy", value)
        files += ["--input", f"{name}={tmp_path / name}.npy"]
    specs.cnnkit("run", path, *files, *options, "-o", tmp_path / "out.npz")
    wanted = np.load(tmp_path / "out.npz")
    running = session(model_path)
    if running is not None:
        found = running.run(None, given)
    else:
        found = pytest.importorskip("onnx.reference").ReferenceEvaluator(model).run(None, given)
    for value, name in zip(found, wanted.files):
        np.testing.assert_allclose(value, wanted[name], rtol=1e-3, atol=1e-5)


def test_an_open_batch(tmp_path):
    model = check(["zoo:shuffle-unit", "--input", "240,8,8"], tmp_path, batch=3, options=["--dynamic-batch"])
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    check(["zoo:deformable-per-channel", "--input", "256,5,4"], tmp_path, batch=2, options=["--dynamic-batch"])


@pytest.mark.parametrize("opset", [21, 22, 23])
def test_operator_sets(opset, tmp_path):
    check(["zoo:mobilenet_v3_small", "--input", "3,32,32"], tmp_path, options=["--opset", str(opset)])


def test_the_graph_alone(tmp_path):
    path = tmp_path / "net.onnx"
    specs.cnnkit("export", "zoo:resnet152", "-o", path, "--no-weights")
    assert path.stat().st_size < 1_000_000
    model = onnx.load(path, load_external_data=False)
    assert sum(int(np.prod(t.dims)) for t in model.graph.initializer if t.data_location == 1) > 60_000_000
