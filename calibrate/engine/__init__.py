"""Carrying out a recipe."""

from calibrate.engine.delivery.files import Delivery, check_outputs, deliver, proof_examples, write_onnx
from calibrate.engine.execution import Outcome, Plan, carry_out, describe_sites, first_examples, plan, retrofit
from calibrate.engine.finetuning.comparison import ArmCell, compare_arms, plan_arms, run_cell
from calibrate.engine.finetuning.files import write_compared_arms, write_fine_tuned
from calibrate.engine.finetuning.plan import FineTuningPlan, plan_fine_tuning
from calibrate.engine.finetuning.training import FineTuneOutcome, carry_out_fine_tuning, fine_tune
from calibrate.engine.opening.checkpoint import Opened, handing_on, open_model
from calibrate.engine.opening.inspection import Inspection, inspect_model
from calibrate.engine.opening.machine import find_device, installed
from calibrate.engine.opening.process import set_up_process
from calibrate.engine.passes.prediction import input_dtype
from calibrate.engine.probing import adaptation, corruptions, input_fit, probe, shift_reference, statistic_noise
from calibrate.engine.requests import (
    OpenedExport,
    OpenedRun,
    RunResult,
    accept_data,
    carry_out_export,
    carry_out_run,
    open_export,
    open_run,
)
from calibrate.engine.steps.table import HANDLERS
from calibrate.engine.trials.folder import FolderTrials
from calibrate.engine.trials.store import Trials, trial_key

__all__ = [
    "HANDLERS",
    "ArmCell",
    "Delivery",
    "FineTuneOutcome",
    "FineTuningPlan",
    "FolderTrials",
    "Inspection",
    "Opened",
    "OpenedExport",
    "OpenedRun",
    "Outcome",
    "Plan",
    "RunResult",
    "Trials",
    "accept_data",
    "adaptation",
    "carry_out",
    "carry_out_export",
    "carry_out_fine_tuning",
    "carry_out_run",
    "check_outputs",
    "compare_arms",
    "corruptions",
    "deliver",
    "describe_sites",
    "find_device",
    "fine_tune",
    "first_examples",
    "handing_on",
    "input_dtype",
    "input_fit",
    "inspect_model",
    "installed",
    "open_export",
    "open_model",
    "open_run",
    "plan",
    "plan_arms",
    "plan_fine_tuning",
    "probe",
    "proof_examples",
    "retrofit",
    "run_cell",
    "set_up_process",
    "shift_reference",
    "statistic_noise",
    "trial_key",
    "write_compared_arms",
    "write_fine_tuned",
    "write_onnx",
]
