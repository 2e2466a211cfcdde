"""Opening what was assigned: the network, and the data as that network's owner wants them prepared."""

from calibrate.data import Source, open_data
from calibrate.engine import Opened, Plan, open_model, plan
from calibrate.errors import UsageError
from calibrate.recipe import Preprocessing
from service.worker.assignment import AssignedDataset, AssignedModel, Assignment
from service.worker.child.voice import Voice


def open_assigned_model(model: AssignedModel, factories: tuple[str, ...], file: str | None = None) -> Opened:
    """The network in ``file``, or in the model's own file; a factory, being code, must be one that the operator allows.

    Raises UsageError for any other factory, and what ``open_model`` raises.
    """
    if model.architecture and ":" in model.architecture and model.architecture not in factories:
        raise UsageError(
            f"the architecture {model.architecture!r} is code of the server's operator, who has not allowed it; name "
            "torchvision/<name>, timm/<name> or cifar/resnet<depth>, or ask for it to be allowed."
        )
    return open_model(file or model.file, model.architecture, model.architecture_args)


def open_assigned_data(dataset: AssignedDataset, model: AssignedModel, opened: Opened) -> Source:
    """The data, with the model's classes."""
    return open_data(
        dataset.file,
        preprocessing=shape_of(model, opened),
        classes=model.class_names or opened.class_names,
        class_map=dataset.class_map,
    )


def shape_of(model: AssignedModel, opened: Opened) -> Preprocessing | None:
    """How images are prepared: as the model's owner says, else as its architecture wants them."""
    return model.preprocessing or opened.preprocessing


def open_run(assignment: Assignment, voice: Voice) -> tuple[Opened, Plan]:
    """The network and the checked plan of a recipe."""
    assert assignment.model is not None
    assert assignment.dataset is not None
    assert assignment.recipe is not None
    opened = open_assigned_model(assignment.model, assignment.factories)
    checked = plan(
        opened.model,
        assignment.recipe,
        data=open_assigned_data(assignment.dataset, assignment.model, opened),
        preprocessing=None,
        classes=None,
        batch_size=assignment.settings.batch_size,
        device=assignment.settings.device,
        progress=voice.progress,
    )
    return opened, checked
