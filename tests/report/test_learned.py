"""How a step that learns reads: what it tried, what was kept and why, in all formats."""

import html
import re

import pytest

from calibrate.report import render_html, render_markdown, render_text
from calibrate.steps import ChangedTensor, Learned, LearningEpoch
from tests.samples import summary

KEPT = Learned(
    kind="tune_affine",
    per=None,
    learned_from=1875,
    held_back=625,
    temperature=2.125,
    epochs=(
        LearningEpoch(learned_nll=None, held_back_nll=0.5628),
        LearningEpoch(learned_nll=0.4917, held_back_nll=0.5213),
        LearningEpoch(learned_nll=0.4506, held_back_nll=0.5342),
    ),
    best=1,
    kept=1,
    gain=0.0415,
    standard_error=0.0125,
    reason="epoch 1 beat the start by 0.0415 nats",
    changed=(ChangedTensor(name="bn1.weight", change=0.01), ChangedTensor(name="bn2\x1b.bias", change=0.02)),
)
LEFT = KEPT.model_copy(
    update={"kind": "learn_alpha", "per": "channel", "kept": 0, "changed": (), "reason": "it was noise"}
)
RENDER = (render_text, render_markdown, render_html)


def words(page: str) -> str:
    """What a reader reads: no tags, no escapes, one space between words."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).replace("\\", "").split())


@pytest.mark.parametrize("render", RENDER)
def test_every_epoch_is_shown_with_what_was_kept_and_why(render: "type[render_text]") -> None:
    shown = words(render(summary(learned=(KEPT, LEFT))))
    for said in (
        "Learning γ and β",
        "Learning α per channel",
        "Epoch 1 was kept: epoch 1 beat the start by 0.0415 nats.",
        "The start was kept: it was noise.",
        "on 1,875 examples of the calibration half, judged on 625 held back of it",
        "2 tensors",
        "the most: by 0.02 (RMS)",
        "T = 2.125",
        "0.4917",
        "0.5213",
    ):
        assert said in shown
    assert "\x1b" not in shown


def test_text_stays_within_its_columns() -> None:
    assert max(map(len, render_text(summary(learned=(KEPT, LEFT))).splitlines())) <= 100


def test_the_verdict_names_what_was_tuned() -> None:
    assert "with tuned γ and β" in words(render_text(summary(learned=(KEPT,))))
    assert "tuned γ" not in words(render_text(summary(learned=(KEPT.model_copy(update={"kept": 0}), LEFT))))
