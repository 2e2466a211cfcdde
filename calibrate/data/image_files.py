"""Image files, with a class each or without."""

import hashlib
from collections.abc import Generator, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from calibrate.data.broken import left_out
from calibrate.data.files.interface import Files
from calibrate.data.images import decode
from calibrate.data.layout import Layout, arrange
from calibrate.data.loading import load_in_order
from calibrate.data.parts import ANY_PART, Part, with_part
from calibrate.data.preprocess import pixels, require_preprocessing, white
from calibrate.data.source import Source
from calibrate.errors import DataError
from calibrate.preprocessing import Preprocessing


class ImageFiles(Source):
    """The images of a layout, read from files; of the files only those being decoded are in memory, never all.

    Up to ``skip_broken`` images that cannot be read are left out, as if they were not there. Cost: where any may be
    left out, opening decodes each image once.
    """

    def __init__(
        self,
        files: Files,
        layout: Layout,
        *,
        name: str,
        preprocessing: Preprocessing,
        listed: bool,
        skip_broken: int = 0,
    ) -> None:
        if skip_broken:
            layout = _readable(files, layout, name, preprocessing, skip_broken)
        super().__init__(
            name=with_part(name, layout.part),
            labels=layout.labels,
            fingerprint=_fingerprint(files, layout),
            preprocessing=preprocessing,
            class_names=layout.class_names,
            listed=listed,
            findings=layout.findings,
        )
        self._files = files
        self._names = layout.names

    def __len__(self) -> int:
        return len(self._names)

    def entry(self, index: int) -> str:
        """The file's name."""
        return f"{self._names[index]!r} in {self.name}"

    def white(self, index: int) -> int:
        """See :meth:`Source.white`."""
        with self._files.reading() as read:
            return white(decode(read(self._names[index]), self.entry(index)))

    def _stream(self, indices: NDArray[np.int64], ahead: int) -> Generator[Tensor]:
        with self._files.reading() as read:

            def load(index: int) -> Tensor:
                entry = self.entry(index)
                assert self.preprocessing is not None
                return pixels(decode(read(self._names[index]), entry), self.preprocessing, entry)

            yield from load_in_order(load, indices.tolist(), ahead)


def _readable(files: Files, layout: Layout, name: str, preprocessing: Preprocessing, most: int) -> Layout:
    """The layout without the images that cannot be read; DataError where these are more than ``most``."""
    whole = preprocessing.model_copy(update={"resize": None, "crop": None})
    with files.reading() as read:

        def load(row: int) -> str:
            entry = f"{layout.names[row]!r} in {name}"
            try:
                pixels(decode(read(layout.names[row]), entry), whole, entry)
            except DataError as error:
                return str(error)
            return ""

        reasons = dict(enumerate(load_in_order(load, range(len(layout.names)), 1)))
    broken = {row: reason for row, reason in reasons.items() if reason}
    findings = left_out([(repr(layout.names[row]), broken[row]) for row in broken], len(layout.names), name, most)
    return layout.without(broken.keys(), findings)


def _fingerprint(files: Files, layout: Layout) -> str:
    """SHA-256 over name below the top folder, size, CRC-32 and any label: the same for a directory and its archive."""
    digest = hashlib.sha256()
    labels = [""] * len(layout.names) if layout.labels is None else [f"\0{label}" for label in layout.labels.tolist()]
    for name, label in zip(layout.names, labels, strict=True):
        size, crc = files.checksum(name)
        row = f"{name.removeprefix(layout.top)}\0{size}\0{crc}{label}\n"
        digest.update(row.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


class ClassFolders(ImageFiles):
    """Images in one folder for each class, in a directory or an archive; or without labels, all of them in no folder.

    A folder's class is its place in ``classes``, or among the folders in their order where no list is given. A single
    folder around all class folders is accepted; of folders that are parts, such as train and val, one ``part`` is read.
    """

    def __init__(
        self,
        files: Files,
        *,
        name: str,
        preprocessing: Preprocessing | None,
        classes: Sequence[str] | None = None,
        part: Part = ANY_PART,
        skip_broken: int = 0,
    ) -> None:
        applied = require_preprocessing(preprocessing, name)
        layout = arrange(files.names, files.folders, classes, name, part)
        super().__init__(
            files, layout, name=name, preprocessing=applied, listed=classes is not None, skip_broken=skip_broken
        )
