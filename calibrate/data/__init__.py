"""Examples: sources, splits, preprocessing."""

from calibrate.data.archive import ZipArchive
from calibrate.data.augmented import Augmented
from calibrate.data.c_style import require_corruptions
from calibrate.data.class_folders import ClassFolders
from calibrate.data.class_list import read_classes
from calibrate.data.class_map import ClassMap, read_class_map
from calibrate.data.corrupted import Corrupted, obstacle
from calibrate.data.directory import Directory
from calibrate.data.held import Held
from calibrate.data.in_domains import InDomains
from calibrate.data.iterable import Examples
from calibrate.data.manifest import Manifest
from calibrate.data.mapped import Mapped
from calibrate.data.npz import Npz
from calibrate.data.open import open_data
from calibrate.data.preprocess import prepare
from calibrate.data.source import Batch, Source
from calibrate.data.split import Split, hold_back, split, split_unlabelled
from calibrate.data.stratified import stratified
from calibrate.data.tar_archive import TarArchive

__all__ = [
    "Augmented",
    "Batch",
    "ClassFolders",
    "ClassMap",
    "Corrupted",
    "Directory",
    "Examples",
    "Held",
    "InDomains",
    "Manifest",
    "Mapped",
    "Npz",
    "Source",
    "Split",
    "TarArchive",
    "ZipArchive",
    "hold_back",
    "obstacle",
    "open_data",
    "prepare",
    "read_class_map",
    "read_classes",
    "require_corruptions",
    "split",
    "split_unlabelled",
    "stratified",
]
