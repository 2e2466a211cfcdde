"""Probes: what a trained network's normalisation does on given data, one probe a file. Nothing is changed."""

from calibrate.diagnose.advice import BY_BATCH
from calibrate.diagnose.channels import channel_health, gradient_factor
from calibrate.diagnose.corruptions import corruption_means, means, seen
from calibrate.diagnose.estimation_shifts import estimation_shift, rank_correlation, squared_distance
from calibrate.diagnose.input_shifts import input_shift
from calibrate.diagnose.layer_moments import EXAMPLES, FEWEST
from calibrate.diagnose.normalized import normalising_by_channel
from calibrate.diagnose.output_bounds import bound, bounded, output_bound, trains_by_batch
from calibrate.diagnose.sick_statistics import REPAIR, sick_channels, statistics_health
from calibrate.diagnose.statistic_noise import disturbed, noise_curve, noise_level
from calibrate.diagnose.stream import diagnose_stream

__all__ = [
    "BY_BATCH",
    "EXAMPLES",
    "FEWEST",
    "REPAIR",
    "bound",
    "bounded",
    "channel_health",
    "corruption_means",
    "diagnose_stream",
    "disturbed",
    "estimation_shift",
    "gradient_factor",
    "input_shift",
    "means",
    "noise_curve",
    "noise_level",
    "normalising_by_channel",
    "output_bound",
    "rank_correlation",
    "seen",
    "sick_channels",
    "squared_distance",
    "statistics_health",
    "trains_by_batch",
]
