"""The cards of what a fine-tuning can be made of, by the names that its document has for them."""

from collections.abc import Mapping

from pydantic import BaseModel

from calibrate.recipe.card import Card
from calibrate.recipe.finetuning import AffineDecayOptions, BSSOptions, DeltaOptions, Groups, L2SPOptions, Phase

_STOCHNORM = "Kou, You, Long and Wang, Stochastic Normalization, NeurIPS 2020"
_FEATURES = "classifiers of one label: no detection heads, and no multi-label data, whose measure is AUC"

#: The part of the document that has the settings of each.
FINE_TUNING_KINDS: Mapping[str, type[BaseModel]] = {
    "l2_sp": L2SPOptions,
    "delta": DeltaOptions,
    "bss": BSSOptions,
    "affine_decay": AffineDecayOptions,
    "groups": Groups,
    "freezing": Phase,
}

FINE_TUNING_CARDS: Mapping[str, Card] = {
    "l2_sp": Card(
        sentence="Pull weights to where they started, and the head's to 0 (L2-SP)",
        symbols="With w all parameters, γ and β among them, w₀ their values at the start, a = ``backbone_strength`` "
        "and b = ``head_strength``, added to the loss of each batch:",
        formula="a/2·Σ_backbone ‖w − w₀‖² + b/2·Σ_head ‖w‖²",
        equals="both strengths are 0.",
        helps="data are few and like those that the network was trained on: it must not forget.",
        does_not_help="the target is unlike the source. In the StochNorm paper it was behind plain fine-tuning with 15 "
        "and 30 % of each of three data sets, by up to 2 points, and together with StochNorm ahead of it.",
        cost="a copy of the parameters and a pass over them for each batch; nothing in inference.",
        limits="takes the place of weight decay, which is then 0. The strengths are the paper's; they depend on the "
        "rate and the number of steps.",
        reference="Li, Grandvalet and Davoine, Explicit Inductive Bias for Transfer Learning with Convolutional "
        "Networks, ICML 2018, §3",
    ),
    "delta": Card(
        sentence="Pull feature maps to the source network's, channel by channel (DELTA)",
        symbols="With F, F₀ the maps (N, C, H, W) that ``layers`` put out, here and in the network as it came, and a "
        "the ``attention``, a softmax over C channels of the standard score, over 5, of the loss that a channel's "
        "filter of zeros adds on ``attention_examples``, added to the loss of each batch:",
        formula="``strength``/2·Σ_{layers, examples, c} C·a_c/(H·W)·‖F_c − F₀_c‖²\n"
        "``strength``/2·Σ ‖F − F₀‖²   (without attention)",
        equals="``strength`` is 0.",
        helps="data are few, and what the source's layers see is worth keeping though their weights may move.",
        does_not_help="the classes need features that the source has not.",
        cost="a forward pass of the source for each batch; for the attention a forward pass over its examples for each "
        "channel, once; nothing in inference.",
        limits=f"the sum is over the batch, so its weight grows with the batch size. For {_FEATURES}.",
        reference="Li, Xiong, Wang, Rao, Liu and Huan, DELTA: Deep Learning Transfer using Feature Map with Attention "
        "for Convolutional Networks, ICLR 2019, §3; the weights C·a/(H·W) and the 5 are the authors' code's",
    ),
    "bss": Card(
        sentence="Shrink the weakest directions of a batch's features (BSS)",
        symbols="With σ₁ ≤ σ₂ ≤ … the singular values of what the head is given, one row an example, added to the loss "
        "of each batch:",
        formula="``strength``·Σ_{i ≤ k} σᵢ²   (``k`` of them)",
        equals="``strength`` is 0.",
        helps="data are few: features that vary little transfer worst, and are suppressed.",
        does_not_help="data are plenty; on X-rays it was behind plain fine-tuning in the StochNorm paper.",
        cost="a singular value decomposition of batch size × features for each batch; nothing in inference.",
        limits=f"batches much smaller than the features have no weak directions to speak of. For {_FEATURES}.",
        reference="Chen, Wang, Fu, Long and Wang, Catastrophic Forgetting Meets Negative Transfer: Batch Spectral "
        "Shrinkage for Safe Transfer Learning, NeurIPS 2019",
    ),
    "affine_decay": Card(
        sentence="Decay γ and β alone",
        symbols="With λ = ``strength``, t = ``gamma_toward``, and γ, β those of batch and group normalisation layers, "
        "added to the loss of each batch:",
        formula="λ/2·‖β‖² + λ/2·‖γ − t‖²",
        equals="``strength`` is 0.",
        helps="the network is residual.",
        does_not_help="the network is like Inception, which it made worse.",
        cost="a pass over γ and β for each batch; nothing in inference.",
        limits="beside it the optimiser's own decay of γ and β stays off.",
        reference="Summers and Dinneen, Four Things Everyone Should Know to Improve Batch Normalization, ICLR 2020, "
        "§3.3",
    ),
    "groups": Card(
        sentence="Let γ and the head learn at rates of their own, and decay weights alone",
        symbols="With lr the rate of the phase, c = ``gamma_lr_divisor`` and h = ``head_lr_factor``, parameters told "
        "by the type of their module:",
        formula="lr_γ = lr/c,  lr_head = h·lr,  lr_gate = 10·lr (BatchInstanceNorm),  decay of γ, β, biases = 0",
        equals="c = h = 1, ``weight_decay`` is 0, and no layer has gates.",
        helps="a fresh head must catch up (h = 10); or γ, started small by the placement step initialise, should hold "
        "(c = 100), which is for training from scratch.",
        does_not_help="the head is kept, or γ has to move far.",
        cost="none.",
        limits="``decay_norm`` and ``decay_bias`` bring decay back. LayerNorm, PReLU and others with one value for "
        "each channel count as weights: selection by shape and name, as published, takes them for γ.",
        reference=f"Davis and Frank, Revisiting Batch Normalization, 2021, §3.2; {_STOCHNORM}, §5.1 (head)",
    ),
    "freezing": Card(
        sentence="Freeze a part of the network for a phase, BatchNorm by three switches",
        symbols="In a phase of ``epochs`` at the rate ``lr``, ``trainable`` says which parameters learn, and "
        "``norms``, for the normalisation layers outside the head, the three switches of BatchNorm:",
        formula="affine: whether γ and β learn\nstatistics: whether running statistics are updated\n"
        "normalise: by the batch or by the running statistics",
        equals="all learn, and the switches are as they start.",
        helps="a fresh head would disturb a trained backbone (head first, then all), or batches are too small for "
        "statistics of their own.",
        does_not_help="the data are unlike the source's: frozen statistics then do not fit them.",
        cost="less than training all; nothing in inference.",
        limits="a variant of BatchNorm loses its own way of training for a phase that freezes its statistics. There is "
        "no group whitening here, neither to train nor to freeze.",
        reference="Adrian G, Batch Norm and Transfer Learning, 2019: 5 epochs of all; 3 of the head, or of it and the "
        "normalisation layers, then 5 of all",
    ),
}
