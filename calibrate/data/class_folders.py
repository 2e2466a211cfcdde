"""Images in one folder for each class."""

import hashlib
from collections.abc import Generator, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from calibrate.data.files import Files
from calibrate.data.images import decode
from calibrate.data.layout import Layout, arrange
from calibrate.data.loading import load_in_order
from calibrate.data.preprocess import pixels, require_preprocessing
from calibrate.data.source import Source
from calibrate.recipe import Preprocessing


class ClassFolders(Source):
    """Images in one folder for each class, in a directory or an archive.

    A folder's class is its place in ``classes``, or among the sorted folders where no list is given. A single folder
    around all class folders is accepted. Only encoded files of the images being decoded are in memory, never all.
    """

    def __init__(
        self, files: Files, *, name: str, preprocessing: Preprocessing | None, classes: Sequence[str] | None = None
    ) -> None:
        self._preprocessing = require_preprocessing(preprocessing, name)
        layout = arrange(files.names, files.folders, classes, name)
        super().__init__(
            name=name,
            labels=layout.labels,
            fingerprint=_fingerprint(files, layout),
            preprocessing=self._preprocessing,
            class_names=layout.class_names,
            listed=classes is not None,
            findings=layout.findings,
        )
        self._files = files
        self._names = layout.names

    def entry(self, index: int) -> str:
        """The file's name."""
        return f"{self._names[index]!r} in {self.name}"

    def _stream(self, indices: NDArray[np.int64], ahead: int) -> Generator[Tensor]:
        with self._files.reading() as read:

            def load(index: int) -> Tensor:
                entry = self.entry(index)
                return pixels(decode(read(self._names[index]), entry), self._preprocessing, entry)

            yield from load_in_order(load, indices.tolist(), ahead)


def _fingerprint(files: Files, layout: Layout) -> str:
    """SHA-256 over name below the top folder, size, CRC-32 and label: the same for a directory and its archive."""
    digest = hashlib.sha256()
    for name, label in zip(layout.names, layout.labels.tolist(), strict=True):
        size, crc = files.checksum(name)
        row = f"{name.removeprefix(layout.top)}\0{size}\0{crc}\0{label}\n"
        digest.update(row.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
