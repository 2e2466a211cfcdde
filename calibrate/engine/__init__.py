"""Carrying out a recipe."""

from calibrate.engine.deliver import Delivery, check_outputs, deliver, write_onnx
from calibrate.engine.environment import find_device, installed
from calibrate.engine.folder_trials import FolderTrials
from calibrate.engine.inspection import Inspection, inspect_model
from calibrate.engine.opening import Opened, open_model
from calibrate.engine.predict import input_dtype
from calibrate.engine.proof_examples import proof_examples
from calibrate.engine.retrofit import Outcome, Plan, carry_out, describe_sites, first_examples, plan, retrofit
from calibrate.engine.steps import STEPS
from calibrate.engine.trials import Trials, trial_key

__all__ = [
    "STEPS",
    "Delivery",
    "FolderTrials",
    "Inspection",
    "Opened",
    "Outcome",
    "Plan",
    "Trials",
    "carry_out",
    "check_outputs",
    "deliver",
    "describe_sites",
    "find_device",
    "first_examples",
    "input_dtype",
    "inspect_model",
    "installed",
    "open_model",
    "plan",
    "proof_examples",
    "retrofit",
    "trial_key",
    "write_onnx",
]
