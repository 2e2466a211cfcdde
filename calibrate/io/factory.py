"""Networks from the user's own code: ``package.module:factory``."""

import importlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import reduce
from pathlib import Path
from typing import Any

from torch import nn

from calibrate.errors import ModelError, said


def build_factory(name: str, args: Mapping[str, Any]) -> nn.Module:
    """Import ``package.module``, call the attribute after the colon with ``args``, give the result in eval mode.

    The attribute may be dotted (``module:Class.method``). Modules in the current directory can be imported, as with
    ``python -m``. The imported code runs with all rights of this process: never call this with a stranger's name.
    """
    module_name, _, attribute = name.partition(":")
    with _current_directory_importable():
        try:
            factory = reduce(getattr, attribute.split("."), importlib.import_module(module_name))
        except (Exception, SystemExit) as error:
            raise ModelError(
                f"the architecture {name!r} cannot be imported: {said(error)}. Give it as package.module:factory, "
                "where `import package.module` works in the current directory, or of a package that is installed where "
                "this runs (on a server: there)."
            ) from error
        if not callable(factory):
            raise ModelError(
                f"the architecture {name!r} is a {type(factory).__name__}, which cannot be called; name a class or a "
                "function that returns a torch.nn.Module."
            )
        try:
            model = factory(**args)
        except (Exception, SystemExit) as error:
            raise ModelError(
                f"the architecture {name!r} failed when called with {dict(args)!r}: {said(error)}. Change its "
                "arguments, or mend the factory."
            ) from error
    if not isinstance(model, nn.Module):
        raise ModelError(
            f"the architecture {name!r} returned a {type(model).__name__}; name a factory that returns a "
            "torch.nn.Module."
        )
    return model.eval()


@contextmanager
def _current_directory_importable() -> Iterator[None]:
    before = list(sys.path)
    sys.path.insert(0, str(Path.cwd()))
    try:
        yield
    finally:
        sys.path[:] = before
