"""`cnnkit export --format pytorch`: the module has our parameter count and our output, with our weights by name."""

import importlib.util
import re

import pytest

np = pytest.importorskip("numpy", reason="needs numpy")
torch = pytest.importorskip("torch", reason="needs torch")

import specs


def module_of(path):
    """The network's class in a written file: the one that its last lines make."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, re.search(r"model = (\w+)\(\)", path.read_text()).group(1))


@pytest.mark.parametrize("name", specs.names())
def test_same_parameters_and_output(name, tmp_path):
    code, weights, out = tmp_path / "net.py", tmp_path / "weights.npz", tmp_path / "out.npy"
    specs.cnnkit("export", *specs.arguments(name), "-o", code)
    if "torchvision" in code.read_text():
        pytest.importorskip("torchvision.ops", reason="needs torchvision", exc_type=Exception)
    figures = specs.params(name)
    shape = next(layer["output_shape"] for layer in figures["layers"] if layer["op"] == "input")
    x = np.random.default_rng(0).standard_normal((1, *shape)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    specs.cnnkit("run", *specs.arguments(name), "--input", tmp_path / "x.npy", "-o", out, "--save-weights", weights)

    model = module_of(code)().eval()
    assert sum(p.numel() for p in model.parameters()) == figures["totals"]["params"]
    given = {key: torch.from_numpy(value) for key, value in np.load(weights).items()}
    model.load_state_dict(given)
    with torch.no_grad():
        y = model(torch.from_numpy(x))
    y = (y[0] if isinstance(y, tuple) else y).numpy()
    wanted = np.load(out)
    assert y.shape == wanted.shape
    assert np.isfinite(wanted).all()
    np.testing.assert_allclose(y, wanted, rtol=1e-3, atol=1e-4 * np.abs(wanted).max())
