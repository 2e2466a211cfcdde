"""How a step that learns reads: what it tried, what was kept and why, in all formats."""

from calibrate.report import render_html, render_markdown, render_text
from calibrate.result import Summary
from calibrate.steps import Learned
from tests import samples
from tests.report.reading import flat, read

KEPT = samples.learned("bn2\x1b.bias")
LEFT = samples.learned(kind="learn_alpha", per="channel", kept=0, changed=(), reason="it was noise")


def with_learning(*learned: Learned) -> Summary:
    return samples.summary(outcomes=samples.outcomes(*learned))


def test_every_epoch_is_shown_with_what_was_kept_and_why() -> None:
    summary = with_learning(KEPT, LEFT)
    for seen in read(summary).values():
        for said in (
            "Learning γ and β",
            "Learning α per channel",
            "Epoch 1 was kept: epoch 1 beat the start by 0.0415 nats.",
            "The start was kept: it was noise.",
            "On 1,875 examples of the calibration half, judged on 625 held back of it",
            "2 tensors",
            "the most: by 0.02 (RMS)",
            "T = 2.125",
            "0.4917",
            "0.5213",
        ):
            assert said in seen.words
    for render in (render_text, render_markdown, render_html):
        assert "\x1b" not in render(summary)


def test_text_stays_within_its_columns() -> None:
    assert max(map(len, render_text(with_learning(KEPT, LEFT)).splitlines())) <= 100


def test_the_verdict_names_what_was_tuned() -> None:
    assert "with tuned γ and β, α = 0.05 and T" in flat(render_text(with_learning(KEPT)))
    not_kept = KEPT.model_copy(update={"kept": 0})
    assert "tuned γ" not in flat(render_text(with_learning(not_kept, LEFT)))
