"""Finding normalisation layers in a network and replacing them."""

from calibrate.surgery.borrow import evaluating, keeping_alpha
from calibrate.surgery.final_layer import divide_after_, divide_logits_
from calibrate.surgery.sites import Site, find_sites, select
from calibrate.surgery.swap import weigh_examples_

__all__ = [
    "Site",
    "divide_after_",
    "divide_logits_",
    "evaluating",
    "find_sites",
    "keeping_alpha",
    "select",
    "weigh_examples_",
]
