import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from calibrate.demo.digits import held_out_digits, scan, training_digits
from calibrate.demo.inputs import CHECKPOINT, SCAN_SEED, fresh_network, write_inputs
from calibrate.demo.train import digits_digest


@pytest.fixture(scope="module")
def network():
    network = fresh_network()
    network.load_state_dict(load_file(CHECKPOINT), strict=True)
    return network.eval()


def accuracy(network, images, labels):
    inputs = torch.from_numpy((images[:, None] / 255 - 0.304) / 0.375).float()
    with torch.no_grad():
        return (network(inputs).argmax(1).numpy() == labels).mean()


def test_the_network_knows_digits_it_never_saw(network):
    assert accuracy(network, *held_out_digits()) > 0.97


def test_the_scanner_hurts_but_leaves_the_digits_legible(network):
    images, labels = held_out_digits()
    assert 0.70 < accuracy(network, scan(images, SCAN_SEED), labels) < 0.90


def test_the_weights_are_small_finite_single_precision():
    tensors = load_file(CHECKPOINT)
    assert CHECKPOINT.stat().st_size <= 1_000_000
    counters = {name for name, tensor in tensors.items() if tensor.dtype == torch.int64}
    assert {name.rpartition(".")[2] for name in counters} == {"num_batches_tracked"}
    for name in tensors.keys() - counters:
        assert tensors[name].dtype == torch.float32
        assert tensors[name].isfinite().all()


def test_the_weights_name_their_origin_and_the_digits_they_saw():
    with safe_open(CHECKPOINT, "pt") as file:
        origin = file.metadata()
    assert origin["script"] == "calibrate.demo.train"
    assert int(origin["seed"]) >= 0
    assert origin["torch"]
    assert origin["training_digits"] == digits_digest(training_digits()[0]), "the split moved: train again"


def test_inputs_are_the_checkpoint_and_both_sets(tmp_path):
    folder = tmp_path / "new" / "folder"
    inputs = write_inputs(folder)
    write_inputs(folder)
    assert {inputs.checkpoint, inputs.digits, inputs.scanned} == set(folder.iterdir())
    assert inputs.checkpoint.read_bytes() == CHECKPOINT.read_bytes()
    images, labels = held_out_digits()
    for path, expected in ((inputs.digits, images), (inputs.scanned, scan(images, SCAN_SEED))):
        with np.load(path) as arrays:
            assert sorted(arrays) == ["x", "y"]
            assert (arrays["x"].dtype, arrays["y"].dtype) == (np.uint8, np.int64)
            np.testing.assert_array_equal(arrays["x"], expected)
            np.testing.assert_array_equal(arrays["y"], labels)
