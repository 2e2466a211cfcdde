"""Check a new file: collect its facts, and convert a checkpoint to safetensors."""

from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
from torch import Tensor

from calibrate.data import open_data
from calibrate.engine import handing_on, inspect_model, open_model
from calibrate.errors import DataError
from calibrate.recipe import Preprocessing
from calibrate.request import JOB, in_terms
from service.worker.assignment import DatasetCheck, ModelCheck
from service.worker.messages import Checked

#: How many examples of new data are decoded; errors in the others surface in the jobs that use them.
DECODED = 64
#: How many class names the facts list at most.
NAMED = 1000
#: Images are of any size and color here, since the model's preprocessing is not known.
ANY_IMAGE = Preprocessing(resize=32, crop=32)
OUT = Path("../out")
#: How the names of data in one file end.
ONE_FILE = (".npz", ".zip", ".tar", ".tar.gz", ".tgz")


def check_model(model: ModelCheck) -> Checked:
    """Open the checkpoint (weights only), and write what the network took of it as safetensors, with its metadata.

    Jobs open that file, so that what is chosen or left out of the uploaded one is chosen and left out once.
    """
    opened = open_model(model.checkpoint, model.architecture, model.architecture_args, weights=model.weights)
    converted = OUT / model.checkpoint.with_suffix(".safetensors")
    state = opened.model.state_dict().items()
    tensors = {name: tensor.clone().contiguous() for name, tensor in state if isinstance(tensor, Tensor)}
    safetensors.torch.save_file(tensors, converted, handing_on(opened) or None)
    found = inspect_model(opened)
    facts: dict[str, Any] = {
        "architecture": opened.architecture,
        "architecture_args": opened.architecture_args,
        "parameters": found.parameters,
        "dtype": found.dtype,
        "fingerprint": found.fingerprint,
        "weights": opened.weights,
        "other_weights": list(opened.other_weights),
        "findings": [
            finding.model_dump(mode="json") | {"message": in_terms(finding.message, JOB)} for finding in opened.findings
        ],
        "outputs": found.look.outputs if found.look else None,
        "preprocessing": opened.preprocessing.model_dump(mode="json") if opened.preprocessing else None,
        "sites": [site.model_dump(mode="json") for site in found.sites],
        "tuned": opened.provenance is not None,
    }
    return Checked(facts=facts, weights=converted.name)


def check_dataset(dataset: DatasetCheck) -> Checked:
    """Open the data, and decode some of the examples."""
    if not dataset.data.lower().endswith(ONE_FILE):
        raise DataError(
            f"{dataset.data!r} is no data in one file; register a .zip, .tar, .tar.gz or .tgz of class folders, or an "
            ".npz. Of a .csv the images that it lists would be missing: pack them in class folders."
        )
    source = open_data(dataset.data, preprocessing=ANY_IMAGE, split=dataset.split, skip_broken=dataset.skip_broken)
    for _ in source.batches(np.unique(np.linspace(0, len(source) - 1, DECODED).astype(np.int64)), 8):
        pass
    names, labels = source.class_names, source.labels
    classes = None if labels is None else len(names) if names is not None else len(np.unique(labels))
    facts: dict[str, Any] = {
        "kind": type(source).__name__,
        "n": len(source),
        "classes": classes,
        "class_names": list(names[:NAMED]) if names is not None else None,
        "fingerprint": source.fingerprint,
        "findings": [in_terms(finding.message, JOB) for finding in source.findings[:NAMED]],
    }
    return Checked(facts=facts)
