"""The step ``temperature``: the temperature that fits the network's confidence to its accuracy."""

from typing import Literal

from calibrate.steps.step import StepValue


class Temperature(StepValue):
    """Scale the logits by one temperature.

    Divide the logits by the T > 0 that minimises cross-entropy on the calibration half.

    With the logits those of the current network, T chosen on the calibration half::

        p = softmax(logits/T), T = argmin over T > 0 of the mean of −log p[label]

    *Changes nothing when* T = 1.

    *Helps when* the network is more, or less, sure of its predictions than it is right.

    *Does not help when* predictions are wrong: it changes none of them.

    Cost: one pass over the calibration half, or none after a search; nothing in inference where the last layer is
    linear and takes T in, else one division.

    Limits: needs labels. Changes no prediction, only how sure the network is of it.

    Reference: Guo, Pleiss, Sun and Weinberger, On Calibration of Modern Neural Networks, ICML 2017, §4.2
    """

    jobs = frozenset({"calibrate", "adapt"})

    kind: Literal["temperature"] = "temperature"
