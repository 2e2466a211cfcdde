"""The cards of the probing steps."""

from collections.abc import Mapping

from calibrate.recipe.card import Card

_ESTIMATION_SHIFT = (
    "Huang, Zhou, Wang, Liu, Xu, Wang, Ouyang and Liu, Delving into the Estimation Shift of Batch Normalization in a "
    "Network, CVPR 2022"
)

PROBE_CARDS: Mapping[str, Card] = {
    "estimation_shift": Card(
        sentence="Measure how far the running statistics are from those of the data",
        symbols="With rm, rv a layer's running mean and variance, m and v the mean and biased variance of its inputs "
        "on the holdout half, all in evaluation mode, over its C channels; for layer 0, the network's input, rm and rv "
        "are the training data's:",
        formula="ESM_μ = ‖rm − m‖₂,  ESM_σ = ‖√rv − √v‖₂;  also each over √C, and channel by channel over √(v + eps)",
        equals="always: it only looks.",
        helps="one wants to know whether data differ from the training data, where in the network it shows, and "
        "whether it grows with depth.",
        does_not_help="one wants to know whether re-estimated statistics are better: a network can like its old ones "
        "best, so measure.",
        cost="one pass over the holdout half; with training data, these and the holdout half are read once more.",
        limits="needs no labels, and for layer 0 training data. With few examples the statistics of the data are "
        "themselves uncertain; what that alone makes is given beside each number.",
        reference=f"{_ESTIMATION_SHIFT}, Definition 2",
    ),
    "statistic_noise": Card(
        sentence="Disturb the running statistics at random, and measure what it costs",
        symbols="With rm, rv the running mean and variance of the chosen layers, and δ, δ′ drawn anew for each channel "
        "(or layer) and repetition, the same numbers times Δ for every Δ:",
        formula="rm ← (1 + δ)·rm,  rv ← (1 + δ′)·rv,  δ, δ′ ~ U(−Δ, Δ)",
        equals="always: it only looks.",
        helps="one wants to know how much depends on well estimated statistics, and in which layer: ``disturb`` each.",
        does_not_help="one wants to know how far off they are: that is the step estimation_shift.",
        cost="1 + ``repetitions`` passes for each Δ, over at most ``max_samples`` examples; with ``disturb`` each, so "
        "many for each Δ and layer.",
        limits="needs labels. Noise is relative, so that a channel whose mean is near 0 keeps it; real errors are not "
        "independent between channels. The spread is that of the draws, on the same examples.",
        reference=f"{_ESTIMATION_SHIFT}, Eq. 5 and Figure 8",
    ),
    "output_bound": Card(
        sentence="Compare outputs in inference with the bound that they have in training",
        symbols="With M the elements in a statistic of a training batch, ``train_batch_size`` times the layer's "
        "positions, and x̂ = (x − mean)/√(variance + eps), normalised by the batch in training and by running "
        "statistics in inference:",
        formula="in training |x̂| ≤ √(M − 1), so the output γx̂ + β lies in β ± |γ|√(M − 1); in inference nothing "
        "bounds it",
        equals="always: it only looks.",
        helps="the network was trained with small batches, or late layers have few positions: then the later layers "
        "may meet outputs that training cannot have shown them.",
        does_not_help="M is in the thousands: the bound is then far beyond what any layer puts out.",
        cost="two passes over the holdout half, one as in inference and one as in training, in batches of "
        "``train_batch_size``.",
        limits="needs no labels, but the batch size of the training. The range seen in training is that of whole "
        "batches of the holdout half, without augmentation. Frozen layers, those with a training rule of their own and "
        "those without running statistics are left out.",
        reference="Summers and Dinneen, Four Things Everyone Should Know to Improve Batch Normalization, ICLR 2020, "
        "Eq. 2 and appendices A and B",
    ),
    "channel_health": Card(
        sentence="Count dead, pruned and exploding channels; describe γ, β and the gradient factor",
        symbols="With rv a layer's running variance, and x̂ its input normalised as in inference, of the holdout half:",
        formula="dead: rv ≈ 0;  silent: variance of the inputs ≈ 0;  pruned: γ ≈ 0;  exploding: |x̂| > 6 too often\n"
        "gradient factor = γ/√(rv + eps);  histograms of |γ − 1| and |β|",
        equals="always: it only looks.",
        helps="one wants to know which channels could be removed, which reach far beyond what their statistics say, "
        "and how far training moved γ and β from where they began.",
        does_not_help="one wants to know what a channel is worth to the accuracy: remove it, and measure.",
        cost="one pass over the holdout half.",
        limits="needs no labels. A channel that is silent on these data may speak on others. The gradient factor is "
        "that of the stored statistics; in training each batch has its own.",
        reference="Davis and Frank, Revisiting Batch Normalization, 2021, §3.2 and Eq. 20",
    ),
    "corruptions": Card(
        sentence="Measure on C-style corruptions of the images",
        symbols="With c over the corruptions in ``names``, s over ``severities``, each image corrupted as the network "
        "sees it (resized and cropped), and T that of the clean calibration half:",
        formula="mean over c and s of top-1 and of −log softmax(logits(image corrupted by c, s)/T)[label]",
        equals="always: it only looks.",
        helps="one wants to know what a network makes of noise, blur, weather and digital faults, and whether the "
        "tuning costs robustness or gains it.",
        does_not_help="one wants to compare with published numbers: these are C-style, not the files of ImageNet-C, "
        "and their mean is not its mCE.",
        cost="a pass for each corruption and severity, and as much time again to corrupt: all 19 take 23 ms for an "
        "image of 32 × 32 pixels and 0.3 s for one of 224 × 224, for each severity. ``samples`` bounds it.",
        limits="needs labels, 8-bit images and sides of 32 pixels or more; on small images the same severity is far "
        "stronger. Needs the extra corruptions.",
        reference="Hendrycks and Dietterich, Benchmarking Neural Network Robustness to Common Corruptions and "
        "Perturbations, ICLR 2019, §4.1; made by imagecorruptions-imaug",
    ),
}
