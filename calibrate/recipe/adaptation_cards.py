"""The cards of the steps of test-time adaptation."""

from collections.abc import Mapping

from calibrate.recipe.card import Card

ADAPTATION_CARDS: Mapping[str, Card] = {
    "adaptation": Card(
        sentence="Compare test-time adaptation methods on streams",
        symbols="With each stream made of the holdout half in as many orders as there are ``seeds``, each example "
        "scored when it is answered, and before it can be learned from:",
        formula="top-1 = mean over the stream of [argmax logits = label];  differences: method − no adaptation, "
        "method − IEW, on the same examples",
        equals="always: it only looks.",
        helps="one wants to know which method a stream like this calls for, what it costs and what it forgets, before "
        "one lets a network change itself in service.",
        does_not_help="the stream to come has another order, batch size or shift: the same method wins on one and "
        "fails on the other.",
        cost="for each stream, seed and method, a pass over the stream and what the method adds, up to two backward "
        "passes, and a pass over the examples as they are to see what was forgotten.",
        limits="needs labels, to score with: no method sees them. Defaults are the papers' for their networks and not "
        "tuned for yours. Domains need the extra corruptions.",
        reference="Wang, Shelhamer, Liu, Olshausen and Darrell, Tent: Fully Test-Time Adaptation by Entropy "
        "Minimization, ICLR 2021; Niu et al., Towards Stable Test-Time Adaptation in Dynamic Wild World, ICLR 2023 "
        "(where they fail); each method's own: `afternorm methods tent`",
    ),
    "adapt": Card(
        sentence="Let a test-time adaptation method learn from examples, and keep what it has learned",
        symbols="With ``method`` at work on the calibration half in the order of ``stream``, batch after batch, and γ "
        "and β the weights of the matching BatchNorm layers:",
        formula="γ, β ← those at the end of the stream;  rm, rv ← mean and variance of the layers' inputs on the same "
        "examples",
        equals="the method has learned nothing; the statistics are re-estimated all the same where it normalised by "
        "the batch.",
        helps="the examples, unlabelled, are like the data to come, and the shift is strong and the same for all.",
        does_not_help="the shift is mild, or the examples come sorted by class or from several domains: then answers "
        "drift or collapse. The step adaptation shows what a stream does.",
        cost="that of the method over one pass of the calibration half, and about two passes to re-estimate the "
        "statistics; in inference nothing, but for iew, which costs what set_alpha does.",
        limits="needs no labels, so nothing holds it to the truth: measure afterwards. Only iew, tent, eta, eata and "
        "sar leave something to keep. An adapted network that collapses goes back to the source (``collapse``).",
        reference="Wang et al., Tent: Fully Test-Time Adaptation by Entropy Minimization, ICLR 2021, §4 (offline); "
        "each method's own: `afternorm methods tent`",
    ),
}
