"""The demo's main job: the bundled network, tuned on digits as they are and as a bad scanner sees them."""

import json
from pathlib import Path

from calibrate.demo.digits import PREPROCESSING
from calibrate.demo.inputs import ARCHITECTURE, ARCHITECTURE_ARGS, write_inputs
from calibrate.engine import Delivery, check_outputs, deliver, open_model, retrofit
from calibrate.recipe import PRESETS, Outputs
from calibrate.result import Listener, silent


def run_demo(folder: Path, progress: Listener = silent) -> dict[str, Delivery]:
    """Tune the network on both sets with the recipe ``quick``, into ``folder``/clean and ``folder``/scanned.

    The inputs go to ``folder``/inputs, for trying the other commands on. Cost: well under a minute on two cores.
    """
    outputs = Outputs()
    check_outputs(folder, outputs)
    inputs = write_inputs(folder / "inputs")
    (folder / "inputs" / "preprocessing.yaml").write_text(json.dumps(PREPROCESSING.model_dump(), indent=2) + "\n")
    opened = open_model(inputs.checkpoint, ARCHITECTURE, ARCHITECTURE_ARGS)
    deliveries = {}
    for name, data in (("clean", inputs.digits), ("scanned", inputs.scanned)):
        outcome = retrofit(
            opened.model,
            PRESETS["quick"],
            data=data,
            preprocessing=PREPROCESSING,
            architecture=opened.architecture,
            architecture_args=opened.architecture_args,
            progress=progress,
        )
        deliveries[name] = deliver(outcome, opened.model, folder / name, outputs, progress=progress)
    return deliveries
