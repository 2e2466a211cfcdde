"""Small networks that are awkward in one way each."""

import torch
from torch import Tensor, nn


class Tied(nn.Module):
    """One normalisation layer under two names, called twice; and a tied linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.again = nn.ModuleDict({"norm": self.norm})
        self.head = nn.Linear(4, 4)
        self.logits = self.head

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.first(x)))
        x = torch.relu(self.again["norm"](self.second(x)))
        return self.logits(torch.relu(self.head(x.mean((2, 3)))))


class Wrapped(nn.Module):
    """All names begin with ``model.``, which is also what training wrappers put before names."""

    def __init__(self) -> None:
        super().__init__()
        self.model = convolutional()

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class LogSoftmax(nn.Module):
    """Puts out log-probabilities: no linear layer's scale is the logits' scale."""

    def __init__(self) -> None:
        super().__init__()
        self.body = convolutional()

    def forward(self, x: Tensor) -> Tensor:
        return torch.log_softmax(self.body(x), 1)


class Mixed(nn.Module):
    """Maps, 1x1 maps, vectors, a layer without statistics, a subclass that does more, dropout."""

    class NormAct(nn.BatchNorm2d):
        def forward(self, x: Tensor) -> Tensor:
            return torch.relu(super().forward(x))

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.maps = nn.BatchNorm2d(4)
        self.act = Mixed.NormAct(4)
        self.squeeze = nn.AdaptiveAvgPool2d(1)
        self.point = nn.BatchNorm2d(4)
        self.linear = nn.Linear(4, 6)
        self.vector = nn.BatchNorm1d(6)
        self.batch_only = nn.BatchNorm1d(6, affine=False, track_running_stats=False)
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Conv1d(6, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.point(self.squeeze(self.act(self.maps(self.conv(x)))))
        x = self.batch_only(self.vector(self.linear(x.flatten(1))))
        return self.head(self.dropout(x)[:, :, None]).flatten(1)


def convolutional(classes: int = 3, channels: int = 1) -> nn.Sequential:
    """The plainest network with two sites."""
    return nn.Sequential(
        nn.Conv2d(channels, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 8, 3, stride=2, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, classes),
    )


def grouped(classes: int = 3) -> nn.Sequential:
    """The same with GroupNorm in place of BatchNorm."""
    model = convolutional(classes)
    model[1], model[4] = nn.GroupNorm(2, 4), nn.GroupNorm(2, 8)
    return model


def warmed_up(model: nn.Module, seed: int = 0) -> nn.Module:
    """``model`` with statistics and parameters as if it had been trained, in evaluation mode."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        for name, tensor in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)):
            if name.startswith("num_batches") or not tensor.is_floating_point():
                continue
            low, high = (0.3, 2.0) if name == "running_var" else (-0.8, 0.8)
            with torch.no_grad():
                tensor.copy_(torch.rand(tensor.shape, generator=generator) * (high - low) + low)
    return model.eval()
