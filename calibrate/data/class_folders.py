"""Images in one folder for each class, or in none."""

from collections.abc import Sequence

from calibrate.data.files import Files
from calibrate.data.image_files import ImageFiles
from calibrate.data.layout import arrange
from calibrate.data.preprocess import require_preprocessing
from calibrate.recipe import Preprocessing


class ClassFolders(ImageFiles):
    """Images in one folder for each class, in a directory or an archive; or without labels, all of them in no folder.

    A folder's class is its place in ``classes``, or among the sorted folders where no list is given. A single folder
    around all class folders is accepted.
    """

    def __init__(
        self, files: Files, *, name: str, preprocessing: Preprocessing | None, classes: Sequence[str] | None = None
    ) -> None:
        applied = require_preprocessing(preprocessing, name)
        layout = arrange(files.names, files.folders, classes, name)
        super().__init__(files, layout, name=name, preprocessing=applied, listed=classes is not None)
