"""From options to an opened network, opened data and a checked plan: what finetune and compare share."""

from dataclasses import dataclass, replace
from pathlib import Path

from calibrate.cli import options
from calibrate.data import TESTING, TRAINING, Source, open_data
from calibrate.engine import FineTuningPlan, Opened, open_model, plan_fine_tuning, set_up_process
from calibrate.errors import UsageError
from calibrate.recipe import FineTuning
from calibrate.result import Listener


@dataclass(frozen=True, slots=True)
class FineTuningRequest:
    """The options that say which network, which data and how to pass them."""

    model: Path
    architecture: str | None
    architecture_args: str | None
    weights: str | None
    data: str
    test_data: str | None
    preprocessing: str | None
    batch_size: int | None
    device: str
    threads: int | None

    def open(self) -> "Material":
        """Open the network and the data, each once."""
        set_up_process(self.threads)
        arguments = options.mapping(self.architecture_args, "--architecture-args")
        opened = open_model(self.model, self.architecture, arguments, weights=self.weights)
        shape = options.preprocessing(self.preprocessing) or opened.preprocessing
        if shape is not None and shape.auto:
            raise UsageError(
                "--preprocessing auto is for runs that tune or measure; find out with `afternorm inspect --data` which "
                "preprocessing fits the network, and give that."
            )
        data = open_data(self.data, preprocessing=shape, usual=TRAINING)
        test_data = None if self.test_data is None else open_data(self.test_data, preprocessing=shape, usual=TESTING)
        return Material(opened, data, test_data, self.batch_size, self.device)


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """A network and data, on which any number of recipes can be planned."""

    opened: Opened
    data: Source
    test_data: Source | None
    batch_size: int | None
    device: str

    def plan(self, recipe: FineTuning, progress: Listener) -> FineTuningPlan:
        """Check that ``recipe`` can be carried out."""
        planned = plan_fine_tuning(
            self.opened.model,
            recipe,
            data=self.data,
            test_data=self.test_data,
            preprocessing=None,
            batch_size=self.batch_size,
            device=self.device,
            progress=progress,
        )
        return replace(planned, findings=self.opened.findings)


def describe(plan: FineTuningPlan) -> dict[str, object]:
    """What a dry run prints: the plan in words and numbers."""
    preprocessing = plan.data.source.preprocessing
    return {
        "data": plan.data.source.name,
        "test_data": plan.test_data.source.name,
        "classes": plan.classes,
        "fresh_head": plan.fresh,
        "training": len(plan.training),
        "validation": len(plan.validation),
        "test": len(plan.test),
        "epochs": plan.recipe.epochs,
        "preprocessing": preprocessing.model_dump() if preprocessing else None,
        "recipe": plan.recipe.model_dump(mode="json"),
        "recipe_digest": plan.recipe.digest,
        "device": str(plan.setting.device),
    }
