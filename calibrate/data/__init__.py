"""Labelled examples: sources, splits, preprocessing."""

from calibrate.data.archive import ZipArchive
from calibrate.data.class_folders import ClassFolders
from calibrate.data.class_list import read_classes
from calibrate.data.directory import Directory
from calibrate.data.iterable import Examples
from calibrate.data.npz import Npz
from calibrate.data.open import open_data
from calibrate.data.preprocess import prepare
from calibrate.data.source import Batch, Source
from calibrate.data.split import Split, split

__all__ = [
    "Batch",
    "ClassFolders",
    "Directory",
    "Examples",
    "Npz",
    "Source",
    "Split",
    "ZipArchive",
    "open_data",
    "prepare",
    "read_classes",
    "split",
]
