"""Carrying out a recipe."""

from calibrate.engine.compare_arms import ArmCell, compare_arms, plan_arms, run_cell
from calibrate.engine.deliver import Delivery, check_outputs, deliver, write_onnx
from calibrate.engine.environment import find_device, installed
from calibrate.engine.fine_tune import FineTuneOutcome, carry_out_fine_tuning, fine_tune
from calibrate.engine.fine_tuning_plan import FineTuningPlan, plan_fine_tuning
from calibrate.engine.folder_trials import FolderTrials
from calibrate.engine.inspection import Inspection, inspect_model
from calibrate.engine.opening import Opened, open_model
from calibrate.engine.predict import input_dtype
from calibrate.engine.process import set_up_process
from calibrate.engine.proof_examples import proof_examples
from calibrate.engine.retrofit import Outcome, Plan, carry_out, describe_sites, first_examples, plan, retrofit
from calibrate.engine.steps import STEPS
from calibrate.engine.trials import Trials, trial_key
from calibrate.engine.write_fine_tuned import write_compared_arms, write_fine_tuned

__all__ = [
    "STEPS",
    "ArmCell",
    "Delivery",
    "FineTuneOutcome",
    "FineTuningPlan",
    "FolderTrials",
    "Inspection",
    "Opened",
    "Outcome",
    "Plan",
    "Trials",
    "carry_out",
    "carry_out_fine_tuning",
    "check_outputs",
    "compare_arms",
    "deliver",
    "describe_sites",
    "find_device",
    "fine_tune",
    "first_examples",
    "input_dtype",
    "inspect_model",
    "installed",
    "open_model",
    "plan",
    "plan_arms",
    "plan_fine_tuning",
    "proof_examples",
    "retrofit",
    "run_cell",
    "set_up_process",
    "trial_key",
    "write_compared_arms",
    "write_fine_tuned",
    "write_onnx",
]
