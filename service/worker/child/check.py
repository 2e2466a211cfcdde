"""Check a new file: collect its facts, and convert a checkpoint to safetensors."""

from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch

from calibrate.data import open_data
from calibrate.engine import inspect_model, open_model
from calibrate.io import read_checkpoint
from calibrate.recipe import Preprocessing
from service.worker.assignment import DatasetCheck, ModelCheck
from service.worker.messages import Checked

#: How many examples of new data are decoded; errors in the others surface in the jobs that use them.
DECODED = 64
#: How many class names the facts list at most.
NAMED = 1000
#: Images are of any size and color here, since the model's preprocessing is not known.
ANY_IMAGE = Preprocessing(resize=32, crop=32)
OUT = Path("../out")


def check_model(model: ModelCheck) -> Checked:
    """Read the checkpoint (weights only), write it as safetensors with its metadata, and open that."""
    checkpoint = read_checkpoint(model.checkpoint)
    converted = OUT / model.checkpoint.with_suffix(".safetensors")
    state = {name: tensor.clone().contiguous() for name, tensor in checkpoint.state.items()}
    safetensors.torch.save_file(state, converted, checkpoint.metadata or None)
    opened = open_model(converted, model.architecture, model.architecture_args)
    found = inspect_model(opened)
    facts: dict[str, Any] = {
        "architecture": opened.architecture,
        "architecture_args": opened.architecture_args,
        "parameters": found.parameters,
        "dtype": found.dtype,
        "fingerprint": found.fingerprint,
        "outputs": found.look.outputs if found.look else None,
        "preprocessing": opened.preprocessing.model_dump(mode="json") if opened.preprocessing else None,
        "sites": [site.model_dump(mode="json") for site in found.sites],
        "tuned": opened.provenance is not None,
    }
    return Checked(facts=facts, weights=converted.name)


def check_dataset(dataset: DatasetCheck) -> Checked:
    """Open the data, and decode some of the examples."""
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
        "findings": [finding.message for finding in source.findings[:NAMED]],
    }
    return Checked(facts=facts)
