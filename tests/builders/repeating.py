"""Networks that call a normalisation layer several times in a pass, each awkward in its own way."""

import torch
from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d


class TwoDepths(nn.Module):
    """One layer at two depths, of other sizes, with an ordinary layer between them."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.down, self.own = nn.Conv2d(6, 6, 3, padding=1, stride=2), nn.BatchNorm2d(6)
        self.up, self.head = nn.Conv2d(6, 6, 3, padding=1), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.stem(x)))
        x = torch.relu(self.own(self.down(x)))
        return self.head(torch.relu(self.norm(3 * self.up(x))).mean((2, 3)))


class Siamese(nn.Module):
    """Two branches with other inputs and the same layers, none of which sees what itself made; one layer behind."""

    def __init__(self) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            *(nn.Sequential(nn.Conv2d(c, 5, 3, padding=1), nn.BatchNorm2d(5), nn.ReLU()) for c in (1, 5, 5))
        )
        self.last, self.head = nn.BatchNorm1d(10), nn.Linear(10, 3)

    def forward(self, x: Tensor) -> Tensor:
        branches = [self.branch(part).mean((2, 3)) for part in (x, 2 * x.flip(3) + 1)]
        return self.head(self.last(torch.cat(branches, 1)))


class Amplifying(nn.Module):
    """A block with tied weights that makes signals larger each time: to iterate on its statistics goes apart."""

    def __init__(self, norm: type[nn.Module] = nn.BatchNorm2d) -> None:
        super().__init__()
        self.stem, self.first = nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.one, self.norm_one = nn.Conv2d(6, 6, 3, padding=1, bias=False), norm(6)
        self.two, self.norm_two = nn.Conv2d(6, 6, 3, padding=1, bias=False), norm(6)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.first(self.stem(x)))
        for _ in range(5):
            x = torch.relu(x + self.norm_two(self.two(torch.relu(self.norm_one(3 * self.one(x))))))
        return self.head(x.mean((2, 3)))


def amplifying_frozen() -> nn.Module:
    """The same with frozen layers."""
    return Amplifying(FrozenBatchNorm2d)


class Recurrent(nn.Module):
    """Vectors alone: the rows of a map one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.new, self.old, self.norm = nn.Linear(8, 6), nn.Linear(6, 6), nn.BatchNorm1d(6)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        state = torch.tanh(self.norm(self.new(x[:, 0, 0])))
        for row in range(1, 8):
            state = torch.tanh(self.norm(self.old(state) + self.new(x[:, 0, row])))
        return self.head(state)


class Interleaved(nn.Module):
    """Two layers that are called several times, in turn, and ordinary ones before, between and behind them."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.convs = nn.ModuleList(nn.Conv2d(4, 4, 3, padding=1) for _ in range(3))
        self.own = nn.ModuleList(nn.BatchNorm2d(4) for _ in range(5))
        self.one, self.two = nn.BatchNorm2d(4), nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        a, b, c = self.convs
        x = torch.relu(self.own[0](self.stem(x)))
        x = torch.relu(self.one(2 * a(x) + 1))
        x = torch.relu(self.own[1](b(x)))
        x = torch.relu(self.two(c(x)))
        x = torch.relu(self.one(3 * a(x)))
        x = torch.relu(self.own[2](b(x)))
        x = torch.relu(self.two(2 * c(x) - 1))
        x = torch.relu(self.one(b(x) + x))
        x = torch.relu(self.own[3](c(x)))
        return self.head(self.own[4](a(x)).mean((2, 3)))


class Unsettled(nn.Module):
    """Below a mean of 0 the second call raises it, else it lowers it: no statistics are those of the inputs."""

    def __init__(self, channels: int = 1, classes: int = 3) -> None:
        super().__init__()
        self.norm, self.between, self.own = (nn.BatchNorm2d(channels) for _ in range(3))
        self.head = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        first = self.norm(0 * x)
        second = self.norm(torch.where(first > 0, 10.0, -10.0).to(x.dtype) + 0 * self.between(first + x))
        return self.head(self.own(second + x).mean((2, 3)))


class Counting(nn.Module):
    """Calls its layer a third time only where the second call found its statistics changed by the first."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 1, 3, padding=1), nn.BatchNorm2d(1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(x)
        before = self.norm.get_buffer("running_mean").clone()
        x = self.norm(self.conv(x) + 5)
        return x if torch.equal(self.norm.get_buffer("running_mean"), before) else self.norm(x)
