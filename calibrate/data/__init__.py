"""Examples: sources, splits, preprocessing."""

from calibrate.data.c_style import require_corruptions
from calibrate.data.class_files import read_classes
from calibrate.data.class_list import ClassList, other_names
from calibrate.data.class_map import ClassMap, read_class_map
from calibrate.data.derived.augmented import Augmented
from calibrate.data.derived.cache import Cached, cached
from calibrate.data.derived.corrupted import Corrupted, obstacle
from calibrate.data.derived.in_domains import InDomains
from calibrate.data.derived.mapped import Mapped
from calibrate.data.files.local_directory import Directory
from calibrate.data.files.tar_archive import TarArchive
from calibrate.data.files.zip_archive import ZipArchive
from calibrate.data.halves import Split, hold_back, split, split_unlabelled
from calibrate.data.image_files import ClassFolders
from calibrate.data.iterable import Examples
from calibrate.data.kept import CacheBudget
from calibrate.data.manifest import CsvManifest
from calibrate.data.npz import Npz
from calibrate.data.open import DataLike, open_data
from calibrate.data.parts import TESTING, TRAINING
from calibrate.data.preprocess import prepare, prepare_arrays, prepare_pixels
from calibrate.data.source import Batch, Source
from calibrate.data.stratified_draw import stratified

__all__ = [
    "TESTING",
    "TRAINING",
    "Augmented",
    "Batch",
    "CacheBudget",
    "Cached",
    "ClassFolders",
    "ClassList",
    "ClassMap",
    "Corrupted",
    "CsvManifest",
    "DataLike",
    "Directory",
    "Examples",
    "InDomains",
    "Mapped",
    "Npz",
    "Source",
    "Split",
    "TarArchive",
    "ZipArchive",
    "cached",
    "hold_back",
    "obstacle",
    "open_data",
    "other_names",
    "prepare",
    "prepare_arrays",
    "prepare_pixels",
    "read_class_map",
    "read_classes",
    "require_corruptions",
    "split",
    "split_unlabelled",
    "stratified",
]
