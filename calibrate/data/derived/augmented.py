"""A source whose images are augmented, as those that networks are trained on often are."""

from torch import Tensor
from torch.nn.functional import pad

from calibrate.data.derived.base import Derived
from calibrate.data.source import Source
from calibrate.errors import DataError
from calibrate.generators import numpy_generator


def flip_crop(pixels: Tensor, seed: int, index: int) -> Tensor:
    """An image (C, H, W), mirrored left to right or not, and shifted each way by up to 1/8 of its side over black.

    Drawn by ``seed`` and ``index`` alone: the mirroring with probability 1/2, each shift uniform over whole pixels. For
    32 × 32 pixels it is a crop of the image with 4 pixels of black around it.
    Reference: He et al., Deep Residual Learning for Image Recognition, CVPR 2016, §4.2.
    """
    random = numpy_generator([seed, index])
    if random.integers(2):
        pixels = pixels.flip(2)
    height, width = pixels.shape[1:]
    down, right = height // 8, width // 8
    top, left = random.integers(0, 2 * down, endpoint=True), random.integers(0, 2 * right, endpoint=True)
    return pad(pixels, (right, right, down, down))[:, top : top + height, left : left + width]


class Augmented(Derived):
    """The images of ``source`` after :func:`flip_crop`, which they go through once cropped, before they are scaled.

    What becomes of an image depends on its pixels, its index in the source and ``seed`` alone, so it is the same in
    each pass and in batches of any size. Raises DataError for network input that is no images.
    """

    def __init__(self, source: Source, seed: int) -> None:
        if source.preprocessing is None:
            raise DataError(
                f"{source.name} cannot be augmented: it holds floating point network input, which may be no images; "
                "give images, or leave out what augments them."
            )
        self._seed = seed
        super().__init__(source, f"\0flip_crop\0{seed}".encode())

    def _changed(self, example: Tensor, index: int) -> Tensor:
        return flip_crop(example, self._seed, index)
