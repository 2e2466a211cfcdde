"""Why a network cannot be exported, in its user's words, with the line of its own code where torch knows it."""

import linecache
import re
import sys
import sysconfig
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

from calibrate.errors import said

#: A line of code, longer than which it is cut.
LINE = 80

_PACKAGES = ("torch", "onnx", "onnxscript", "onnx_ir", "onnxruntime", "calibrate")
_OPERATOR = re.compile(r"OpOverload\(op='([\w.:]+)', overload='(\w+)'\)")
_FRAME = re.compile(r'File "([^"]+)", line (\d+)')


def reason(error: BaseException) -> str:
    """What the exporter raised, as one clause without a full stop."""
    chain = list(_chain(error))
    for link in chain:
        if isinstance(link, GuardOnDataDependentSymNode):
            place = _place(link, chain)
            return (
                f"forward branches on the values of a tensor (data-dependent control flow){place}, and a graph has one "
                "way for all inputs; write it with torch.where, or decide outside the network"
            )
    text = " ".join(str(link) for link in chain)
    found = _OPERATOR.search(text)
    if found and "No ONNX function found" in text:
        operator = f"{found[1]}.{found[2]}".removesuffix(".default")
        place = _place_in_graph(chain) or _place(chain[-1], chain)
        if "complex-valued" in text:
            return f"forward computes with complex numbers{place}, for which ONNX has no operator {operator}"
        return f"ONNX has no operator for {operator}{place}"
    cause = _cause(error)
    failing = f", which the exporter raises for torch's {_failing_operator(chain)}" if _failing_operator(chain) else ""
    return f"{shortened(cause)}{failing}{_place_in_graph(chain) or _place(cause, chain)}"


def _cause(error: BaseException) -> BaseException:
    """The first of the errors that led to ``error``: those between only say in which step of the exporter they were."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _failing_operator(chain: list[BaseException]) -> str:
    """The operator at which translating the traced graph stopped; empty where it did not get so far."""
    target = getattr(_failing_node(chain), "target", None)
    return str(target).removesuffix(".default") if isinstance(target, torch._ops.OpOverload) else ""


def shortened(error: BaseException) -> str:
    """What the exporter says itself, without the trace of its cause that it may append."""
    return said(error).partition("The above exception")[0].rstrip(".: ")


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__


def _place(link: BaseException, chain: list[BaseException]) -> str:
    """The innermost line of the user's code that ``link`` went through, or another of the ``chain`` did."""
    for error in (link, *chain):
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if is_users(frame.filename)]
        if frames and frames[-1].lineno:
            return at(frames[-1].filename, frames[-1].lineno)
    return ""


def _place_in_graph(chain: list[BaseException]) -> str:
    """The line of the node at which translating the traced graph stopped."""
    node = _failing_node(chain)
    return last_users_line(node.stack_trace or "") if node is not None else ""


def _failing_node(chain: list[BaseException]) -> torch.fx.Node | None:
    """The node at which translating the traced graph stopped: the exporter keeps it in a local variable."""
    for error in chain:
        step = error.__traceback__
        while step is not None:
            node = step.tb_frame.f_locals.get("node")
            if isinstance(node, torch.fx.Node) and node.stack_trace:
                return node
            step = step.tb_next
    return None


def last_users_line(stack_trace: str) -> str:
    """The innermost line of the user's code in a trace as text."""
    frames = [(file, int(line)) for file, line in _FRAME.findall(stack_trace) if is_users(file)]
    return at(*frames[-1]) if frames else ""


def _roots(names: Iterable[str]) -> tuple[str, ...]:
    modules = (sys.modules.get(name) for name in names)
    return tuple(str(Path(module.__file__).parent) + "/" for module in modules if module and module.__file__)


def is_users(file: str) -> bool:
    """Whether ``file`` is code of the network: neither torch's, the exporter's, Python's nor ours."""
    if not Path(file).is_file() or file.startswith(_roots(_PACKAGES)):
        return False
    library = sysconfig.get_path("stdlib") + "/"
    return not file.startswith(library) or "/site-packages/" in file


def at(file: str, line: int) -> str:
    """How a line is named: its file below the folder it was imported from, its number, and what it says."""
    below = [Path(file).relative_to(root) for root in sys.path if root and Path(file).is_relative_to(root)]
    name = min(below, key=lambda path: len(path.parts)) if below else Path(Path(file).name)
    code = linecache.getline(file, line).strip()
    return f" at {name}:{line}" + (f" (`{code[:LINE]}`)" if code else "")
