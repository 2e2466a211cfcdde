"""Finding normalisation layers in a network and replacing them."""

from calibrate.surgery.blocks import Block, find_blocks
from calibrate.surgery.borrow import evaluating, normalising_by_batch, watching
from calibrate.surgery.copying import copied
from calibrate.surgery.fold import OtherRouteError, folded, for_inference
from calibrate.surgery.fresh_head import renew_head_
from calibrate.surgery.ibn_b import ibn_b_
from calibrate.surgery.initialize import initialize_, prepend_input_batch_norm_
from calibrate.surgery.kinds import affine_of, eps_of, is_own, needs_moments
from calibrate.surgery.last_layer import divide_after_, divide_logits_, final_layer
from calibrate.surgery.observation import (
    BEYOND,
    REFUSALS,
    Look,
    OutputKind,
    checked_logits,
    largest_bytes,
    look,
    put_out,
)
from calibrate.surgery.outputs import LOGITS, OUTPUT, named_outputs
from calibrate.surgery.place import Replacement, Replacements, is_batch_norm, place_
from calibrate.surgery.placement_steps import PLACEMENT_STEPS, carry_out_placement
from calibrate.surgery.positions import batch_norms, every_odd, in_blocks, stem
from calibrate.surgery.presets import four_things, gnbn, ibn_a, xbn
from calibrate.surgery.probabilities import (
    Link,
    Taken,
    logits_taken,
    retake_logits_,
    take_logits_,
    within_unit_interval,
)
from calibrate.surgery.sites import (
    BESIDE_BATCH_NORM,
    Site,
    SiteChoice,
    chosen_sites,
    find_sites,
    keeping_statistics,
    matching,
    passed_over,
    select,
    with_statistics,
)
from calibrate.surgery.stored_statistics import layer_statistics, sound_channels
from calibrate.surgery.swap import share_weights, weigh_examples_

__all__ = [
    "BESIDE_BATCH_NORM",
    "BEYOND",
    "LOGITS",
    "OUTPUT",
    "PLACEMENT_STEPS",
    "REFUSALS",
    "Block",
    "Link",
    "Look",
    "OtherRouteError",
    "OutputKind",
    "Replacement",
    "Replacements",
    "Site",
    "SiteChoice",
    "Taken",
    "affine_of",
    "batch_norms",
    "carry_out_placement",
    "checked_logits",
    "chosen_sites",
    "copied",
    "divide_after_",
    "divide_logits_",
    "eps_of",
    "evaluating",
    "every_odd",
    "final_layer",
    "find_blocks",
    "find_sites",
    "folded",
    "for_inference",
    "four_things",
    "gnbn",
    "ibn_a",
    "ibn_b_",
    "in_blocks",
    "initialize_",
    "is_batch_norm",
    "is_own",
    "keeping_statistics",
    "largest_bytes",
    "layer_statistics",
    "logits_taken",
    "look",
    "matching",
    "named_outputs",
    "needs_moments",
    "normalising_by_batch",
    "passed_over",
    "place_",
    "prepend_input_batch_norm_",
    "put_out",
    "renew_head_",
    "retake_logits_",
    "select",
    "share_weights",
    "sound_channels",
    "stem",
    "take_logits_",
    "watching",
    "weigh_examples_",
    "with_statistics",
    "within_unit_interval",
    "xbn",
]
