"""Probes: what a trained network's normalisation does on given data, one probe a file. Nothing is changed."""

from calibrate.diagnose.advice import BY_BATCH
from calibrate.diagnose.channels import channel_health, gradient_factor
from calibrate.diagnose.corruptions import corruption_means, means, seen
from calibrate.diagnose.estimation_shifts import estimation_shift, rank_correlation, squared_distance
from calibrate.diagnose.field_shifts import (
    ExampleMoments,
    Shift,
    chance_bands,
    example_moments,
    reference_layers,
    shift_from,
)
from calibrate.diagnose.input_fit import (
    FirstLayer,
    channel_moments,
    contrast,
    first_layer,
    misfit,
    undoing_map,
)
from calibrate.diagnose.input_shifts import input_shift
from calibrate.diagnose.layer_moments import EXAMPLES, FEWEST
from calibrate.diagnose.normalized import normalising_by_channel
from calibrate.diagnose.output_bounds import bound, bounded, output_bound, trains_by_batch
from calibrate.diagnose.preparations import MAXIMA, OF_DATA, Pair, array_preparations, image_preparations, unit_ranges
from calibrate.diagnose.sick_statistics import REPAIR, sick_channels, statistics_health
from calibrate.diagnose.statistic_noise import disturbed, noise_curve, noise_level
from calibrate.diagnose.stream import diagnose_stream

__all__ = [
    "BY_BATCH",
    "EXAMPLES",
    "FEWEST",
    "MAXIMA",
    "OF_DATA",
    "REPAIR",
    "ExampleMoments",
    "FirstLayer",
    "Pair",
    "Shift",
    "array_preparations",
    "bound",
    "bounded",
    "chance_bands",
    "channel_health",
    "channel_moments",
    "contrast",
    "corruption_means",
    "diagnose_stream",
    "disturbed",
    "estimation_shift",
    "example_moments",
    "first_layer",
    "gradient_factor",
    "image_preparations",
    "input_shift",
    "means",
    "misfit",
    "noise_curve",
    "noise_level",
    "normalising_by_channel",
    "output_bound",
    "rank_correlation",
    "reference_layers",
    "seen",
    "shift_from",
    "sick_channels",
    "squared_distance",
    "statistics_health",
    "trains_by_batch",
    "undoing_map",
    "unit_ranges",
]
