"""Honest checkpoints in the layouts that tools write, made without these tools: :data:`LAYOUTS` and :data:`REFUSED`."""

from tests.builders.layouts import changed, torch_files, trainers, vision, wrapped
from tests.builders.layouts.layout import Layout, State, Written, opening
from tests.builders.layouts.refused import REFUSED

LAYOUTS: dict[str, Layout] = {
    **torch_files.LAYOUTS,
    **wrapped.LAYOUTS,
    **changed.LAYOUTS,
    **vision.LAYOUTS,
    **trainers.LAYOUTS,
}

__all__ = ["LAYOUTS", "REFUSED", "Layout", "State", "Written", "opening"]
