import numpy as np
import pytest
import torch

from calibrate.demo.train import shifted, train_digits


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_training_lowers_the_loss():
    losses = train_digits(epochs=4, limit=64).losses
    assert len(losses) == 4
    assert losses[-1] < 0.7 * losses[0]


def test_one_seed_gives_the_same_weights_and_another_gives_others():
    first = train_digits(epochs=1, limit=64).network.state_dict()
    torch.rand(3)
    again, other = (train_digits(epochs=1, limit=64, seed=seed).network.state_dict() for seed in (0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["conv1.weight"], other["conv1.weight"])


def test_the_limit_leaves_the_other_digits_out():
    network = train_digits(epochs=1, limit=10).network
    assert network.bn1.num_batches_tracked == 2, "10 digits are two whole batches of 4"


def test_training_leaves_the_global_generator_alone_and_the_network_ready():
    torch.manual_seed(7)
    expected = torch.rand(4)
    torch.manual_seed(7)
    network = train_digits(epochs=1, limit=8).network
    torch.testing.assert_close(torch.rand(4), expected, rtol=0, atol=0)
    assert not any(module.training for module in network.modules())


def test_shifted_images_are_the_image_moved_by_at_most_a_pixel_with_black_coming_in():
    images = torch.arange(1, 21, dtype=torch.uint8).reshape(1, 5, 4).repeat(200, 1, 1)
    moved = shifted(images, torch.Generator().manual_seed(0))
    assert moved.shape == (200, 1, 5, 4)
    bordered = np.pad(images[0].numpy(), 1)
    wanted = {bordered[top : top + 5, left : left + 4].tobytes() for top in range(3) for left in range(3)}
    assert {image.numpy().tobytes() for image in moved} == wanted
