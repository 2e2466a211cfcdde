"""How the parts of a request are called by who asks: options of a command, fields of a manifest, fields of a job.

Errors and reports are written for the command line. Where the request came in another way, the options in them become
that way's fields, so that whoever reads them finds what to change.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TypeAlias

from calibrate.errors import AfternormError

#: Option of the command line to what stands for it elsewhere. An option that is not in it stays.
Terms: TypeAlias = Mapping[str, str]

COMMAND_LINE: Terms = {}
MANIFEST: Terms = {
    "--model": "the model's `model`",
    "--architecture": "the model's `architecture`",
    "--architecture-args": "the model's `architecture_args`",
    "--weights": "the model's `weights`",
    "--data": "the dataset's `data`",
    "--training-data": "the dataset's `training_data`",
    "--classes": "the dataset's `classes`",
    "--class-map": "the dataset's `class_map`",
    "--split": "the dataset's `split`",
    "--skip-broken": "the dataset's `skip_broken`",
    "--preprocessing": "the dataset's `preprocessing`",
    "--formats": "`outputs.formats`",
    "--latency-runs": "`outputs.latency_runs`",
    "--opset": "`outputs.opset`",
    "--ir-version": "`outputs.ir_version`",
    "--dynamic": "`outputs.dynamic`",
}
JOB: Terms = {
    "--model": "`model`",
    "--architecture": "the model's `architecture`",
    "--architecture-args": "the model's `architecture_args`",
    "--weights": "the model's `weights`",
    "--data": "`dataset`",
    "--training-data": "`training_dataset`",
    "--classes": "the model's `class_names`",
    "--class-map": "the dataset's `class_map`",
    "--split": "the dataset's `split`",
    "--skip-broken": "the dataset's `skip_broken`",
    "--preprocessing": "the model's `preprocessing`",
    "--formats": "`outputs.formats`",
    "--latency-runs": "`outputs.latency_runs`",
    "--opset": "`outputs.opset`",
    "--ir-version": "`outputs.ir_version`",
    "--dynamic": "`outputs.dynamic`",
    "--batch-size": "`settings.batch_size`",
    "--device": "`settings.device`",
    "--threads": "`settings.threads`",
}
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*[a-z]")


def in_terms(message: str, terms: Terms) -> str:
    """``message`` with the options that ``terms`` knows called by their other names.

    >>> in_terms("pass them with --training-data, or another --out", JOB)
    'pass them with `training_dataset`, or another --out'
    """
    return _OPTION.sub(lambda found: terms.get(found[0], found[0]), message)


@contextmanager
def told_in(terms: Terms) -> Iterator[None]:
    """Let errors that the user can act on speak of the request in ``terms``; they are the same errors otherwise."""
    try:
        yield
    except AfternormError as error:
        error.args = (in_terms(str(error), terms), *error.args[1:])
        raise
