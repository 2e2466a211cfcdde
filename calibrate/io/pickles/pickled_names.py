"""Which globals a checkpoint's pickle may name, and which show that it was made to run code.

Nothing that a pickle names is ever imported or called (see :mod:`calibrate.io.pickles.pickle_data`), so no rule here
keeps code from running. They keep a file that carries code from being taken for an honest one, which its user should
know.
"""

import sys
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from dataclasses import dataclass


@dataclass(frozen=True, eq=False, slots=True)
class Global:
    """What a pickle calls ``module.name``: two words, of which nothing was imported."""

    module: str
    name: str

    @property
    def dotted(self) -> str:
        """The name as code would spell it."""
        return f"{self.module}.{self.name}"


#: Types of the standard library whose values are plain data, and functions that only compute.
_PLAIN_STANDARD = {
    "collections": "ChainMap Counter OrderedDict UserDict UserList UserString defaultdict deque",
    "datetime": "date datetime time timedelta timezone tzinfo",
    "decimal": "Context Decimal",
    "fractions": "Fraction",
    "pathlib": "Path PosixPath PurePath PurePosixPath PureWindowsPath WindowsPath",
    "uuid": "SafeUUID UUID",
    "argparse": "Namespace",
    "types": "GenericAlias NoneType SimpleNamespace",
    "enum": "Enum Flag IntEnum IntFlag StrEnum auto",
    "array": "array _array_reconstructor",
    "ipaddress": "IPv4Address IPv4Network IPv6Address IPv6Network",
    "zoneinfo": "ZoneInfo ZoneInfo._unpickle",
    "string": "Template",
    "random": "Random",
    "itertools": "count",
    "functools": "partial",
    "logging": "Logger RootLogger getLogger",
    "re": "RegexFlag _compile",
    "time": "struct_time",
    "http": "HTTPStatus",
    "signal": "Signals",
    "inspect": "_ParameterKind",
    "queue": "Queue",
    "_codecs": "encode",
    "copyreg": "_reconstructor __newobj__ __newobj_ex__",
    "contextlib": "nullcontext",
    "operator": "getitem or_",
    "builtins": "bool bytearray bytes complex dict float frozenset getattr int list object range set slice str tuple "
    "type Ellipsis NotImplemented NoneType",
}
_SAME_MODULES = {
    "_operator": "operator",
    "_decimal": "decimal",
    "_pydecimal": "decimal",
    "_datetime": "datetime",
    "_pydatetime": "datetime",
    "pathlib._local": "pathlib",
    "_random": "random",
    "_collections": "collections",
    "zoneinfo._zoneinfo": "zoneinfo",
}
#: Functions that pure data may name, as ``key=`` and the like, but nothing in a pickle needs to call.
_PLAIN_FUNCTIONS = frozenset(
    f"builtins.{name}" for name in ("abs", "all", "any", "len", "max", "min", "pow", "round", "sorted", "sum")
)
#: Functions of packages that tensors, arrays and tables are pickled by.
_KNOWN_CALLS = frozenset(
    {
        *("torch.device", "torch.Size", "torch.dtype", "torch.storage._load_from_bytes"),
        *("torch.serialization._get_layout", "torch._tensor._rebuild_from_type_v2"),
        *("torch._C._get_layout", "torch.nn.parameter._rebuild_parameter"),
        *(f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
        *(f"numpy.{core}.numeric._frombuffer" for core in ("core", "_core")),
        *(f"numpy.random._pickle.__{name}_ctor" for name in ("generator", "bit_generator", "randomstate")),
        *("numpy.dtype", "numpy.ndarray", "numpy.ma.core._mareconstruct"),
        *("pandas._libs.internals._unpickle_block", "pandas.core.indexes.base._new_Index"),
        *("pandas.core.indexes.datetimes._new_DatetimeIndex", "pandas._libs.tslibs.timestamps._unpickle_timestamp"),
    }
)
_NUMPY_SCALARS = ("bool", "bool_", "float", "int", "uint", "complex", "str_", "bytes_", "datetime64", "timedelta64")
#: Parts of packages that are there to load, compile or run code.
_CODE_PARTS = (
    *("torch.hub.", "torch.jit.", "torch.package.", "torch.ops.", "torch._ops.", "torch.classes.", "torch._classes."),
    *("torch.fx.graph_module.", "torch.utils.cpp_extension.", "numpy.f2py.", "numpy.distutils.", "numpy.ctypeslib."),
    *("pip.", "setuptools.", "pkg_resources.", "dill.", "cloudpickle.", "IPython.", "sympy.parsing."),
)
#: Parts of packages whose functions do so, while their classes are also kept for other ends.
_RUNNING_PARTS = (
    *("torch.utils.collect_env.", "torch.utils.bottleneck.", "torch._dynamo.", "torch._inductor.", "torch._utils."),
    *("torch.distributed.rpc.", "torch.distributed.run.", "torch.distributed.elastic.", "torch.distributed.launcher."),
    *("torch.multiprocessing.", "torch.testing.", "torch.serialization.", "numpy.testing.", "numpy._pytesttester."),
    *("numpy.lib.npyio.", "numpy.lib.format."),
)
#: Function names that load, compile or run in any package.
_RUNNING_NAMES = frozenset(
    {
        *("load", "loads", "open", "eval", "exec", "execute", "compile", "system", "popen", "spawn", "fork", "call"),
        *("run", "run_code", "run_command", "runstring", "runsource", "runcode", "exec_command", "exec_module"),
        *("check_call", "check_output", "getoutput", "getstatusoutput", "import_module", "import_name", "load_module"),
        *("memmap", "fromfile", "genfromtxt", "loadtxt", "read_pickle", "load_library", "startfile", "instantiate"),
        *("safe_eval", "python_eval", "literal_eval", "parse_expr", "sympify", "reduce_graph_module"),
    }
)
_OF_CYTHON = "__pyx_unpickle_"
_STANDARD = sys.stdlib_module_names | {"__builtin__", "nt", "posix", "distutils", "imp", "asyncore", "smtpd", "cgi"}


def present_name(module: str, name: str) -> tuple[str, str]:
    """Where Python 3 keeps what Python 2, and pickle protocols up to 2, know by another name.

    >>> present_name("__builtin__", "unicode")
    ('builtins', 'str')
    """
    found: tuple[str, str] | None = NAME_MAPPING.get((module, name))
    return found or (IMPORT_MAPPING.get(module, module), name)


def may_be_named(target: Global) -> bool:
    """Whether honest files name ``target``: a class, a function that is never called, a type.

    >>> may_be_named(Global("models.resnet", "Net")), may_be_named(Global("os", "system"))
    (True, False)
    """
    if target.dotted in _KNOWN_CALLS or _is_plain_standard(target):
        return True
    parts = target.dotted.split(".")
    if not all(_is_plain(part) for part in (parts[1:] if parts[0] == "__main__" else parts)):
        return False
    if not is_foreign(target):
        return target.dotted in _PLAIN_FUNCTIONS or _only_describes(target)
    if _is_rebuilder(target):
        return True
    within = f"{target.dotted}."
    if within.startswith(_CODE_PARTS):
        return False
    return is_class_like(target) or not (within.startswith(_RUNNING_PARTS) or parts[-1] in _RUNNING_NAMES)


def may_be_called(target: Global) -> bool:
    """Whether honest files call ``target``, which they may name: a class, or a function that rebuilds known data."""
    if not is_foreign(target):
        return _is_plain_standard(target) or _only_describes(target)
    is_scalar = target.module == "numpy" and target.name.rstrip("0123456789_") in _NUMPY_SCALARS
    return target.dotted in _KNOWN_CALLS or is_scalar or _is_rebuilder(target) or is_class_like(target)


def is_class_like(target: Global) -> bool:
    """Whether ``target`` is spelled like a class, or like what Cython has its classes pickled by."""
    return target.name.rpartition(".")[2].removeprefix(_OF_CYTHON).lstrip("_")[:1].isupper()


def is_foreign(target: Global) -> bool:
    """Whether ``target`` belongs to a package or a script, and not to Python."""
    return target.module.partition(".")[0] not in _STANDARD


def _is_plain_standard(target: Global) -> bool:
    module = _SAME_MODULES.get(target.module, target.module)
    return target.name in _PLAIN_STANDARD.get(module, "").split()


def _only_describes(target: Global) -> bool:
    """Exceptions, annotations, abstract classes and arithmetic of the standard library."""
    if not target.name.isidentifier():
        return False
    return (
        (target.module == "builtins" and target.name.endswith(("Error", "Exception", "Warning")))
        or (target.module in ("typing", "collections.abc", "numbers") and target.name[0].isupper())
        or target.module in ("math", "cmath")
    )


def _is_rebuilder(target: Global) -> bool:
    """``torch._utils._rebuild_tensor_v2`` and its like."""
    return target.module in ("torch._utils", "torch.sparse") and target.name.startswith("_rebuild_")


def _is_plain(part: str) -> bool:
    return part.isidentifier() and not part.removeprefix(_OF_CYTHON).startswith("__")
