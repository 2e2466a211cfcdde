"""Train the demo's network: ``python -m calibrate.demo.train``, under a minute on one thread.

Learning rate, epochs, image size and shifts were chosen on a quarter of the training digits, kept aside for that; the
other values were set once and not tried against others. The small batch is meant: its statistics are noisy, so that
the network feels the difference between training and inference. The held-out digits had no part in any choice.
"""

import hashlib
import json
import sys
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from safetensors.torch import save
from torch import Tensor

from calibrate.data.preprocess import prepare_pixels
from calibrate.demo.digits import PREPROCESSING, Images, training_digits
from calibrate.demo.inputs import ARCHITECTURE, ARCHITECTURE_ARGS, CHECKPOINT, fresh_network
from calibrate.generators import seeded, torch_generator
from calibrate.io.cifar_resnets import CifarResNet

SEED = 0
EPOCHS = 20
BATCH_SIZE = 4
LEARNING_RATE = 0.05
MOMENTUM = 0.9
WEIGHT_DECAY = 5e-4
SHIFT = 1


@dataclass(frozen=True, slots=True)
class DigitTraining:
    """The trained network, in evaluation mode, and the mean training loss of each epoch."""

    network: CifarResNet
    losses: tuple[float, ...]


def train_digits(epochs: int = EPOCHS, limit: int | None = None, seed: int = SEED) -> DigitTraining:
    """Train on the first ``limit`` training digits, or on all of them.

    SGD with Nesterov momentum and a one-cycle learning rate; each image is shifted by up to one pixel each way.
    Same seed, number of threads and machine, same weights.
    """
    images, labels = (torch.from_numpy(array[:limit]) for array in training_digits())
    random = torch_generator(seed)
    with seeded(seed):
        network = fresh_network().train()
    optimizer = torch.optim.SGD(
        network.parameters(), LEARNING_RATE, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY, nesterov=True
    )
    batches = len(images) // BATCH_SIZE
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, total_steps=epochs * batches, cycle_momentum=False
    )
    losses = []
    for _ in range(epochs):
        inputs = prepare_pixels(shifted(images, random), PREPROCESSING)
        order = torch.randperm(len(images), generator=random)[: batches * BATCH_SIZE]
        total = 0.0
        for rows in order.view(batches, BATCH_SIZE):
            loss = F.cross_entropy(network(inputs[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        losses.append(total / batches)
    return DigitTraining(network.eval(), tuple(losses))


def shifted(images: Tensor, random: torch.Generator) -> Tensor:
    """Each image shifted by its own draw of up to one pixel each way, black coming in.

    Shape: (N, H, W) to (N, 1, H, W).
    """
    count, height, width = images.shape
    padded = F.pad(images, (SHIFT,) * 4)
    top, left = torch.randint(2 * SHIFT + 1, (2, count, 1), generator=random)
    rows, columns = top + torch.arange(height), left + torch.arange(width)
    return padded[torch.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]].unsqueeze(1)


def digits_digest(images: Images) -> str:
    """SHA-256 of the images' bytes: kept with the weights, it says which digits are no longer new to them."""
    return hashlib.sha256(images.tobytes()).hexdigest()


def main() -> None:
    """Train on one thread and write the weights, with their origin as metadata, over the shipped ones."""
    torch.set_num_threads(1)
    training = train_digits()
    origin = {
        "script": "calibrate.demo.train",
        "architecture": ARCHITECTURE,
        "architecture_args": json.dumps(ARCHITECTURE_ARGS),
        "seed": str(SEED),
        "torch": torch.__version__,
        "training_digits": digits_digest(training_digits()[0]),
    }
    CHECKPOINT.write_bytes(save(training.network.state_dict(), origin))
    sys.stdout.write(f"{CHECKPOINT}: {CHECKPOINT.stat().st_size} bytes, last epoch's loss {training.losses[-1]:.4f}\n")


if __name__ == "__main__":
    main()
