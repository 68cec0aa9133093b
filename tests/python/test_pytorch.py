"""`cnnkit export --format pytorch`: the module has our parameter count and our output, with our weights by name."""

import importlib.util
import re

import pytest

np = pytest.importorskip("numpy", reason="needs numpy")
torch = pytest.importorskip("torch", reason="needs torch")

import layers
import specs


def module_of(path):
    """The network's class in a written file: the one that its last lines make."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, re.search(r"model = (\w+)\(\)", path.read_text()).group(1))


def compare(arguments, tmp_path, inputs, weights, params=None):
    """Writes the module, loads the weights by name, runs both on the same inputs."""
    code, out = tmp_path / "net.py", tmp_path / "out.npy"
    specs.cnnkit("export", *arguments, "-o", code)
    if "torchvision" in code.read_text():
        pytest.importorskip("torchvision.ops", reason="needs torchvision", exc_type=Exception)
    files = []
    for name, value in inputs.items():
        np.save(tmp_path / f"{name}.npy", value)
        files += ["--input", f"{name}={tmp_path / name}.npy"]
    specs.cnnkit("run", *arguments, *files, "-o", out, *weights)

    model = module_of(code)().eval()
    if params is not None:
        assert sum(p.numel() for p in model.parameters()) == params
    given = {key: torch.from_numpy(value) for key, value in np.load(weights[-1]).items()}
    model.load_state_dict(given)
    with torch.no_grad():
        y = model(*[torch.from_numpy(value) for value in inputs.values()])
    y = (y[0] if isinstance(y, tuple) else y).detach().numpy()
    wanted = np.load(out)
    assert y.shape == wanted.shape
    assert np.isfinite(wanted).all()
    np.testing.assert_allclose(y, wanted, rtol=1e-3, atol=1e-4 * max(np.abs(wanted).max(), 1e-3))


def random_inputs(figures):
    """One for each input of the network."""
    random = np.random.default_rng(0)
    shapes = {layer["id"]: layer["output_shape"] for layer in figures["layers"] if layer["op"] == "input"}
    return {name: random.standard_normal((1, *shape)).astype(np.float32) for name, shape in shapes.items()}


@pytest.mark.parametrize("name", specs.names())
def test_networks(name, tmp_path):
    figures = specs.params(name)
    weights = ["--save-weights", tmp_path / "weights.npz"]
    compare(specs.arguments(name), tmp_path, random_inputs(figures), weights, figures["totals"]["params"])


@pytest.mark.parametrize("name,spec", layers.examples(), ids=[name for name, _ in layers.examples()])
def test_layers(name, spec, tmp_path):
    path = tmp_path / "spec.yaml"
    path.write_text(spec)
    written = specs.attempt("export", path, "-o", tmp_path / "net.py")
    if written.returncode == 2 and "not supported in PyTorch" in written.stderr:
        if name.startswith("deform_sample"):
            return
        pytest.fail(written.stderr)
    figures = specs.json.loads(specs.cnnkit("params", path, "--format", "json"))
    # Declared weights of norms and offsets are 0 or 1: random ones, so that they matter.
    file = tmp_path / "weights.npz"
    specs.cnnkit("run", path, "--save-weights", file)
    random = np.random.default_rng(1)
    moved = {k: v + random.uniform(0, 0.5, v.shape).astype(np.float32) for k, v in np.load(file).items()}
    np.savez(file, **moved)
    # A network without weights has none to be given.
    weights = ["--weights", file] if moved else ["--save-weights", file]
    compare([path], tmp_path, random_inputs(figures), weights, figures["totals"]["params"])


# Models that came from PyTorch go back to it.
MODELS = [("tiny_maxvit.legacy_nofold", 16), ("tiny_swin_v2.legacy", 20), ("tiny_vit.legacy", 16)]


@pytest.mark.parametrize("name,size", MODELS, ids=[name for name, _ in MODELS])
def test_imported_models(name, size, tmp_path):
    path = specs.ROOT / "tests" / "data" / "onnx" / f"{name}.onnx"
    figures = specs.json.loads(specs.cnnkit("params", path, "--format", "json"))
    (name,) = [layer["id"] for layer in figures["layers"] if layer["op"] == "input"]
    x = np.random.default_rng(0).standard_normal((1, 3, size, size)).astype(np.float32)
    weights = ["--save-weights", tmp_path / "weights.npz"]
    compare([path], tmp_path, {name: x}, weights, figures["totals"]["params"])
