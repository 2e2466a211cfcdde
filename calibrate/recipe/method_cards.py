"""The cards of the test-time adaptation methods, which the steps ``adaptation`` and ``adapt`` take."""

from collections.abc import Mapping

from calibrate.recipe.card import Card

_TENT = (
    "Wang, Shelhamer, Liu, Olshausen and Darrell, Tent: Fully Test-Time Adaptation by Entropy Minimization, ICLR 2021"
)
_EATA = "Niu et al., Efficient Test-Time Model Adaptation without Forgetting, ICML 2022"
_FOUR_THINGS = "Summers and Dinneen, Four Things Everyone Should Know to Improve Batch Normalization, ICLR 2020, §3.1"
_BY_BATCH = "With m, v the mean and biased variance of the batch's channel, and rm, rv the running ones:"
_RE_ESTIMATION = "What is learned can be stored once running statistics have been re-estimated to fit it."
_STREAMS_THAT_BREAK_IT = "the stream is sorted by class, mixes domains, or comes in batches of a few images"

METHOD_CARDS: Mapping[str, Card] = {
    "iew": Card(
        sentence="Weigh each example in its own statistics by a given α (IEW)",
        symbols="With m, v the mean and biased variance of the example's channel over its positions, and rm, rv the "
        "running ones:",
        formula="μ  = (1 − α)·rm + α·m\nσ² = (1 − α)·rv + α·v + α(1 − α)(m − rm)²\ny  = γ(x − μ)/√(σ² + eps) + β",
        equals="``alpha`` is 0.",
        helps="the stream is of any kind: an answer depends on its own example alone, so order, batch size and mixture "
        "do not matter. It is the baseline that any adapter has to beat.",
        does_not_help="the shift is strong and the same for many: a batch then knows more of it than one image.",
        cost="one forward pass; two reductions and a pass over the maps for each layer.",
        limits="``alpha`` is given and not learned; search_alpha chooses it on labelled data. Deploys as weights.",
        reference=_FOUR_THINGS,
    ),
    "prediction_time_bn": Card(
        sentence="Normalise each batch by its own statistics (prediction-time BN)",
        symbols=_BY_BATCH,
        formula="y = γ(x − m)/√(v + eps) + β",
        equals="the batch's statistics are the running ones.",
        helps="the shift is strong, the stream shuffled, and batches hold some dozens of images.",
        does_not_help=f"{_STREAMS_THAT_BREAK_IT}; or the shift is mild: at batch 200 it took ResNet-20 on JPEG images "
        "of CIFAR-10 from 81.0 to 79.0 %.",
        cost="one forward pass.",
        limits="an answer depends on the images beside it. Nothing is learned, so it needs code at run time; for fixed "
        "statistics of such data take the step reestimate.",
        reference="Nado, Padhy, Sculley, D'Amour, Lakshminarayanan and Snoek, Evaluating Prediction-Time Batch "
        "Normalization for Robustness under Covariate Shift, 2020, §2",
    ),
    "bn_alpha": Card(
        sentence="Mix each batch's statistics into the running ones (BN-α)",
        symbols="With m, v the mean and biased variance of the batch's channel, rm, rv the running ones, n images in "
        "the batch, and λ = ``prior``/(``prior`` + n) or the ``source_weight``:",
        formula="μ  = λ·rm + (1 − λ)·m\nσ² = λ·rv + (1 − λ)·v + λ(1 − λ)(rm − m)²   (``variant`` moments; published: v "
        "unbiased, and without the last term)\ny  = γ(x − μ)/√(σ² + eps) + β",
        equals="``source_weight`` is 1; or the batch's statistics are the running ones.",
        helps="the shift is strong and batches are small: the running statistics steady the batch's. For single images "
        "a ``source_weight`` of 0.9 was published.",
        does_not_help="the stream is sorted by class or mixes domains, though it then fails less than prediction-time "
        "BN does.",
        cost="one forward pass.",
        limits="no single ``prior`` suits all: the paper's best depends on network and batch. Nothing is learned, so "
        "it needs code at run time.",
        reference="Schneider, Rusak, Eck, Bringmann, Brendel and Bethge, Improving robustness against common "
        "corruptions by covariate shift adaptation, NeurIPS 2020, Eq. 3; You, Li and Zhao, Test-time Batch Statistics "
        "Calibration for Covariate Shift, 2021, §3 (fixed weights)",
    ),
    "tent": Card(
        sentence="Follow the entropy of the answers down, over γ and β (Tent)",
        symbols="With H(p) = −Σ p log p of the answers p = softmax(logits), the layers normalising by the batch, and a "
        "step of the ``optimizer`` for each batch, or ``steps``:",
        formula="γ, β ← step down the gradient of mean H(p);  answers are those before the step",
        equals="never: before the first step it is prediction-time BN.",
        helps="the shift is strong, the stream shuffled and of one domain, and batches hold 64 images or more.",
        does_not_help=f"{_STREAMS_THAT_BREAK_IT}: in SAR's experiments 18.0 % became 2.1 %.",
        cost="a forward and a backward pass, for each of ``steps``.",
        limits="entropy is lowest where one class is always the answer, so it can collapse. The published settings: "
        f"Adam at 0.001 with batches of 200 (CIFAR), SGD at 0.00025 with 64 (ImageNet). {_RE_ESTIMATION}",
        reference=f"{_TENT}, §3",
    ),
    "eta": Card(
        sentence="Tent on reliable answers that are unlike those before (ETA)",
        symbols="With H the entropy of an answer p over K classes, E₀ = ``entropy_share``·ln K, and p̄ the mean answer "
        "kept so far (``decay``), over the examples with H < E₀ and |cos(p̄, p)| < ``redundancy``:",
        formula="γ, β ← step down the gradient of the mean of exp(E₀ − H)·H",
        equals="never: where no example is kept, it is prediction-time BN.",
        helps="as Tent, and the uncertain answers there are mislead it.",
        does_not_help=f"{_STREAMS_THAT_BREAK_IT}: in SAR's experiments EATA made 0.9 % of 18.0 %.",
        cost="a forward pass, and a backward pass where an example is kept.",
        limits="a uniform p̄ has |cos| ≥ 1/√K with every answer, so a ``redundancy`` below 1/√K keeps nothing: the "
        f"published 0.05 is for 1,000 classes, 0.4 for 10. {_RE_ESTIMATION}",
        reference=f"{_EATA}, §3.1",
    ),
    "eata": Card(
        sentence="ETA, held near the source where its answers depend on it (EATA)",
        symbols="With ETA's loss, θ all γ and β, θ₀ those of the source, and F the squared gradient of the "
        "cross-entropy with the source's own answers, on ``fisher_images`` in-distribution images:",
        formula="γ, β ← step down the gradient of ETA's loss + ``fisher_weight``·Σ F(θ − θ₀)²",
        equals="never: where no example is kept, it is prediction-time BN.",
        helps="as ETA, and the network must not forget what it was trained on.",
        does_not_help=f"{_STREAMS_THAT_BREAK_IT}.",
        cost="ETA's; and before the stream a forward and a backward pass over ``fisher_images`` images.",
        limits="needs images like those that the network was trained on, without labels. The published "
        f"``fisher_weight`` is 2000 for ImageNet, 1 for CIFAR-10; F depends on the batch size. {_RE_ESTIMATION}",
        reference=f"{_EATA}, §3.2",
    ),
    "sar": Card(
        sentence="Sharpness-aware entropy minimisation with recovery (SAR)",
        symbols="With g the gradient of the mean entropy of the answers with H < E₀ = ``entropy_share``·ln K, over all "
        "γ and β as one vector θ, and ρ = ``rho``:",
        formula="θ ← step down the gradient, taken at θ + ρ·g/‖g‖, of the mean entropy of those with H < E₀ there too",
        equals="never: where no example is kept, it is prediction-time BN.",
        helps="the stream is as for Tent, but harder, so that Tent drifts.",
        does_not_help="batches are small or sorted by class and the layers are BatchNorm: the paper's remedy there is "
        "GroupNorm or LayerNorm.",
        cost="up to two forward and two backward passes.",
        limits="goes back to the source where the running mean entropy (``decay``) falls below ``reset_below``: 0.2 is "
        "for 1,000 classes, and with few classes sound answers fall below it. The layers that the authors leave out, "
        f"the last ones, are left out by ``sites``. {_RE_ESTIMATION}",
        reference="Niu et al., Towards Stable Test-Time Adaptation in Dynamic Wild World, ICLR 2023, §4",
    ),
    "lame": Card(
        sentence="Let neighbours in feature space agree on their answers (LAME)",
        symbols="With pᵢ the answers of a batch, fᵢ what the final linear layer is given over its norm, σ the mean "
        "distance to the k-th nearest, k = ``neighbours``, and wᵢⱼ = exp(−‖fᵢ − fⱼ‖²/2σ²), from zᵢ = pᵢ until it "
        "converges, ``iterations`` times at most:",
        formula="zᵢ ← softmax(log pᵢ + Σⱼ wᵢⱼ zⱼ)",
        equals="the batch is a single image.",
        helps="images of one class come together, as in video: neighbours in a batch are then of one class.",
        does_not_help="the stream is shuffled: the agreement is then among images of different classes, and accuracy "
        "falls.",
        cost="one forward pass and O(n²) operations for n images in the batch.",
        limits="changes no layer and learns nothing, so it needs code at run time; needs a network whose logits come "
        "out of one linear layer.",
        reference="Boudiaf et al., Parameter-free Online Test-time Adaptation, CVPR 2022, §4",
    ),
}
