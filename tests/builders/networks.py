"""Small networks that are awkward in one way each, and what makes them look trained."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d


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
            return torch.relu(super().forward(x)) + 0.5 * x.mean((2, 3), keepdim=True)

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


class Residual(nn.Module):
    """A branch with a layer of its own, whose result is held until the end."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4))
        self.shortcut = nn.Sequential(nn.Conv2d(4, 6, 1), nn.BatchNorm2d(6))
        self.body = nn.ModuleList([nn.Sequential(nn.Conv2d(c, 6, 3, padding=1), nn.BatchNorm2d(6)) for c in (4, 6)])
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.stem(x))
        rest = self.shortcut(x)
        for part in self.body:
            x = torch.relu(part(x))
        return self.head((x + rest).mean((2, 3)))


def vectors() -> nn.Module:
    """BatchNorm over vectors alone."""
    return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Linear(64, 5), nn.BatchNorm1d(5), nn.Linear(5, 3))


class Volumes(nn.Module):
    """Sites of one and of three position dimensions, one of them without affine, and one that nothing folds into."""

    def __init__(self) -> None:
        super().__init__()
        self.lines, self.line_norm = nn.Conv1d(1, 4, 3), nn.BatchNorm1d(4, affine=False)
        self.boxes, self.box_norm = nn.Conv3d(1, 4, (1, 2, 3)), nn.BatchNorm3d(4)
        self.last = nn.BatchNorm1d(4)

    def forward(self, x: Tensor) -> Tensor:
        lines = self.line_norm(self.lines(x.flatten(2))).mean(2)
        return self.last(lines + self.box_norm(self.boxes(x[:, :, None])).amax((2, 3, 4)))


def with_norm(norm: Callable[[int], nn.Module], classes: int = 3) -> nn.Sequential:
    """The plainest network, with ``norm`` of so many channels in place of its BatchNorm layers."""
    model = convolutional(classes)
    model[1], model[4] = norm(4), norm(8)
    return model


def grouped(classes: int = 3) -> nn.Sequential:
    """The same with GroupNorm in place of BatchNorm."""
    return with_norm(lambda channels: nn.GroupNorm(2, channels), classes)


def half_grouped() -> nn.Sequential:
    """GroupNorm beside BatchNorm."""
    model = convolutional()
    model[4] = nn.GroupNorm(2, 8)
    return model


def frozen() -> nn.Sequential:
    """Frozen layers in place of BatchNorm."""
    return with_norm(FrozenBatchNorm2d)


def half_frozen() -> nn.Sequential:
    """A frozen layer beside BatchNorm."""
    model = convolutional()
    model[1] = FrozenBatchNorm2d(4)
    return model


def factory(build: Callable[..., nn.Module]) -> str:
    """The name by which a command or a file's provenance builds the network."""
    return f"{build.__module__}:{build.__qualname__}"


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


def draw_norm_(layer: Any, seed: int = 0) -> Any:
    """Draw γ, β and the running statistics of one layer at random."""
    generator = torch.Generator().manual_seed(seed)
    for name, low, high in (("weight", -1.5, 1.5), ("bias", -1, 1), ("running_mean", -2, 2), ("running_var", 0.2, 3)):
        tensor = getattr(layer, name)
        with torch.no_grad():
            tensor.copy_(torch.rand(tensor.shape, generator=generator, dtype=torch.float64) * (high - low) + low)
    return layer


def move_(model: nn.Module) -> None:
    """Every parameter somewhere else."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64).to(parameter.dtype))


def fit_(
    model: nn.Module, x: Tensor, y: Tensor, *, epochs: int, batch_size: int, optimizer: torch.optim.Optimizer
) -> nn.Module:
    """Let ``model`` learn the classes ``y`` of ``x`` a little; in evaluation mode afterwards."""
    model.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(batch_size):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()
    return model.eval()
