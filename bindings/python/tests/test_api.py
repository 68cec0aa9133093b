"""The interface without PyTorch: specs, models in memory, results."""

import doctest
import json
import subprocess
import sys

import pytest

import cnnkit

SPEC = """
input: [3, 8, 8]
layers:
  - conv: {out_channels: 4, kernel: 3, padding: 1}
  - relu
"""


def test_import_leaves_torch_alone():
    code = "import sys, cnnkit; cnnkit.summary('zoo:resnet18'); print('torch' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"


def test_summary_of_a_built_in_network():
    result = cnnkit.summary("zoo:resnet50", (3, 224, 224))
    assert (result.params, result.buffers, result.macs) == (25557032, 53120, 4089184256)
    assert result.ok and not result.partial
    assert result.totals.memory.params == 4 * 25557032
    assert result.layers[1].id == result.layers[1]["id"] == "stem1.conv1"


def test_summary_of_a_text_with_another_input():
    assert cnnkit.summary(SPEC).macs == 4 * 27 * 64
    assert cnnkit.summary(SPEC, (3, 16, 16)).macs == 4 * 27 * 256


def test_result_is_the_json_of_the_program(tmp_path):
    path = tmp_path / "net.yaml"
    path.write_text(SPEC)
    command = [sys.executable, "-m", "cnnkit", "params", str(path), "--format", "json"]
    printed = json.loads(subprocess.check_output(command, text=True))
    assert cnnkit.summary(path).to_dict() == printed


def test_repr_is_the_table_and_html_has_one():
    result = cnnkit.summary(SPEC, depth="all")
    assert "parameters" in repr(result) and "conv" in repr(result)
    html = result._repr_html_()
    assert html.count("<table>") == html.count("</table>") >= 1 and "<td>" in html
    assert "conv 4 k3 p1 bias" in html


def test_unknown_attribute_names_those_that_exist():
    with pytest.raises(AttributeError, match="it has .*macs"):
        _ = cnnkit.summary(SPEC).flop_count


def test_errors_carry_the_place():
    with pytest.raises(cnnkit.CnnkitError, match="unknown layer or block `rellu`"):
        cnnkit.summary("input: [3, 8, 8]\nlayers: [rellu]\n")
    with pytest.raises(TypeError, match="only a live module has arguments"):
        cnnkit.summary(SPEC, mask=None)


def test_check_finds_a_bias_before_a_norm():
    text = "input: [3, 8, 8]\nlayers:\n  - conv: {out_channels: 4, kernel: 3}\n  - batch_norm\n  - relu\n"
    result = cnnkit.check(text)
    assert [finding.rule for finding in result.findings] == ["CK401"]
    assert cnnkit.check(text, ignore=["CK401"]).ok


def test_rates_and_networks():
    assert cnnkit.hdc_check([1, 2, 5]).ok
    assert not cnnkit.hdc_check([2, 4, 8])
    assert cnnkit.gridding([1, 2, 3]).ok is not None
    field = {layer.id: layer for layer in cnnkit.rf("zoo:resnet18").layers}
    assert field["stage4.basic_block2.add1"].size == [435, 435]
    assert cnnkit.rf("zoo:resnet18").outputs[0]["global"]
    assert cnnkit.diff(SPEC, "zoo:resnet18").quantities[0].old == 4 * 27 + 4


def test_network_is_loaded_once_for_several_questions():
    network = cnnkit.load(SPEC, (3, 16, 16))
    assert cnnkit.summary(network).macs == 4 * 27 * 256
    assert cnnkit.sizes(network).ok and cnnkit.channels(network).ok and cnnkit.paths(network).ok


def test_threads_run_at_the_same_time():
    # Models of one call are not seen by another.
    from concurrent.futures import ThreadPoolExecutor

    def macs(width):
        return cnnkit.summary(SPEC.replace("out_channels: 4", f"out_channels: {width}")).macs

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(macs, range(1, 33))) == [width * 27 * 64 for width in range(1, 33)]


def test_docstrings_are_true():
    import cnnkit._api
    import cnnkit._result

    for module in (cnnkit, cnnkit._api, cnnkit._result):
        result = doctest.testmod(module)
        assert result.failed == 0 and result.attempted > 0
    # Each function that is a command has an example.
    for name in cnnkit.__all__:
        if callable(getattr(cnnkit, name)) and name[0].islower():
            assert ">>>" in getattr(cnnkit, name).__doc__, name
