"""Finding normalisation layers in a network and replacing them."""

from calibrate.surgery.borrow import evaluating
from calibrate.surgery.final_layer import divide_after_, divide_logits_
from calibrate.surgery.fold import for_inference
from calibrate.surgery.kinds import needs_moments
from calibrate.surgery.layer_statistics import layer_statistics
from calibrate.surgery.look import Look, checked_logits, look
from calibrate.surgery.sites import BESIDE_BATCH_NORM, Site, find_sites, passed_over, select
from calibrate.surgery.swap import weigh_examples_

__all__ = [
    "BESIDE_BATCH_NORM",
    "Look",
    "Site",
    "checked_logits",
    "divide_after_",
    "divide_logits_",
    "evaluating",
    "find_sites",
    "for_inference",
    "layer_statistics",
    "look",
    "needs_moments",
    "passed_over",
    "select",
    "weigh_examples_",
]
