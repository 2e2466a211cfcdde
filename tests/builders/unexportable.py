"""Networks as people write them that export badly: each with what an export comes to."""

import os
import signal
from collections.abc import Callable

import torch
from torch import Tensor, nn


class Small(nn.Module):
    """Convolution, BatchNorm, ReLU, mean over positions, linear layer: (N, 1, 8, 8) to (N, 4)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.linear = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 4)

    def maps(self, x: Tensor) -> Tensor:
        return torch.relu(self.norm(self.conv(x)))

    def head(self, h: Tensor) -> Tensor:
        return self.linear(h.mean((2, 3)))


class DataBranch(Small):
    def forward(self, x: Tensor) -> Tensor:
        h = self.maps(x)
        if h.mean() > 1e9:
            h = h * 2
        return self.head(h)


class DataLoop(Small):
    def forward(self, x: Tensor) -> Tensor:
        h = self.maps(x)
        while h.abs().max() > 1e9:
            h = h / 2
        return self.head(h)


class RaisesOnNaN(Small):
    def forward(self, x: Tensor) -> Tensor:
        h = self.maps(x)
        if torch.isnan(h).any():
            raise ValueError("NaN")
        return self.head(h)


class ByLength(Small):
    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.maps(x).view(len(x), 4, 36).mean(2))


class ByNumber(Small):
    def forward(self, x: Tensor) -> Tensor:
        n = int(x.shape[0])
        return self.linear(self.maps(x).view(n, 4, 36).mean(2))


class ImageByImage(Small):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.head(self.maps(image[None])) for image in x])


class CountBranch(Small):
    def forward(self, x: Tensor) -> Tensor:
        h = self.maps(x)
        if x.shape[0] > 8:
            h = h * 1.01
        return self.head(h)


class CrowdBranch(Small):
    """Does something else for a batch above every size that is tried without a reason."""

    def forward(self, x: Tensor) -> Tensor:
        h = self.maps(x)
        if h.numel() > 100 * 144:
            h = h * 2
        return self.head(h)


class HugeBranch(Small):
    def forward(self, x: Tensor) -> Tensor:
        h = self.maps(x)
        return self.head(h * 2 if x.shape[0] > 1000 else h)


class HalfInside(Small):
    """Rounds to half precision, which ONNX Runtime leaves out on the CPU."""

    def forward(self, x: Tensor) -> Tensor:
        return self.head((self.maps(x).half() * 2).float())


class Compiled(Small):
    def __init__(self) -> None:
        super().__init__()
        self.part = torch.jit.script(nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.part(self.maps(x)))


class CausalAttention(Small):
    def forward(self, x: Tensor) -> Tensor:
        t = self.maps(x).flatten(2).transpose(1, 2)
        t = nn.functional.scaled_dot_product_attention(t, t, t, is_causal=True)
        return self.linear(t.mean(1))


class Exits(Small):
    def forward(self, x: Tensor) -> Tensor:
        if torch.compiler.is_exporting():
            raise SystemExit("not for export")
        return self.head(self.maps(x))


class Dies(Small):
    """Ends the process that exports it, as the system does for want of memory."""

    def forward(self, x: Tensor) -> Tensor:
        if torch.compiler.is_exporting():
            os.kill(os.getpid(), signal.SIGKILL)
        return self.head(self.maps(x))


class Autocast(Small):
    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            h = self.maps(x)
        return self.head(h.float())


class _Doubled(torch.autograd.Function):
    @staticmethod
    def forward(_context: object, x: Tensor) -> Tensor:
        return x * 2

    @staticmethod
    def backward(_context: object, *gradients: Tensor) -> Tensor:
        return gradients[0] * 2


class CustomGradient(Small):
    def forward(self, x: Tensor) -> Tensor:
        return self.head(_Doubled.apply(self.maps(x)))


class Complex(Small):
    def forward(self, x: Tensor) -> Tensor:
        spectrum = torch.fft.fft2(x)
        turned = spectrum * torch.exp(1j * spectrum.angle())
        return self.head(self.maps(turned.abs()))


class NoOperator(Small):
    def forward(self, x: Tensor) -> Tensor:
        return self.linear(torch.linalg.svdvals(self.maps(x).flatten(2)))


class InPlaceViews(Small):
    def forward(self, x: Tensor) -> Tensor:
        h = self.maps(x)
        h[:, :2].mul_(2)
        h.view(h.shape[0], -1)[:, ::2].add_(1)
        return self.head(h)


class Traced(Small):
    def __init__(self) -> None:
        super().__init__()
        self.part = torch.jit.trace(nn.Sequential(nn.ReLU(), nn.AvgPool2d(2)), torch.ones(1, 4, 6, 6))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.part(self.maps(x)))


class Random(Small):
    def forward(self, x: Tensor) -> Tensor:
        h = self.maps(x)
        return self.head(h + 0.1 * torch.randn_like(h))


class RefusesExport(Small):
    def forward(self, x: Tensor) -> Tensor:
        if torch.compiler.is_exporting():
            raise KeyError("not for export")
        return self.head(self.maps(x))


_FIXED = "the batch size is fixed in the graph"
_BRANCH = r"data-dependent control flow\) at "

#: Each network, and what the reason must match; None for one that a right file can be made of.
BADLY_EXPORTED: dict[Callable[[], Small], str | None] = {
    DataBranch: _BRANCH + r"{file}:\d+ \(`if h.mean\(\) > 1e9:`\)",
    DataLoop: _BRANCH + r"{file}:\d+ \(`while h.abs\(\).max\(\) > 1e9:`\)",
    RaisesOnNaN: _BRANCH + r"{file}:\d+ \(`if torch.isnan\(h\).any\(\):`\)",
    ByLength: _FIXED + r".* at {file}:\d+ \(`return .*len\(x\)",
    ByNumber: _FIXED + r".* at {file}:\d+ \(`n = int\(x.shape\[0\]\)`\)",
    ImageByImage: _FIXED + r".* at {file}:\d+ \(`return .*for image in x",
    CountBranch: r"not at batch size 64: .*number of images at {file}:\d+ \(`if x.shape\[0\] > 8:`\)",
    CrowdBranch: r"not at batch size 101: .*number of images at {file}:\d+ \(`if h.numel\(\) > 100 \* 144:`\)",
    HugeBranch: r"only where batch <= 1000 at {file}:\d+ \(`return .*x.shape\[0\] > 1000",
    HalfInside: None,
    Compiled: r"its part part was compiled by torch.jit",
    CausalAttention: r"only 4D query.*aten.scaled_dot_product_attention at {file}:\d+",
    Exits: r"SystemExit: not for export at {file}:\d+ \(`raise SystemExit",
    Autocast: None,
    CustomGradient: None,
    Complex: r"complex numbers at {file}:\d+ \(`.*`\), for which ONNX has no operator aten.mul",
    NoOperator: r"ONNX has no operator for aten._linalg_svd at {file}:\d+ \(`return .*svdvals",
    InPlaceViews: None,
    Traced: None,
    Random: r"draws random numbers in forward",
    RefusesExport: r"KeyError: 'not for export' at {file}:\d+ \(`raise KeyError",
}
