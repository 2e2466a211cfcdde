"""The step ``temperature``: the temperature of the network as it stands."""

from calibrate.engine.run import Run
from calibrate.recipe import Temperature


def fit_temperature_(run: Run, step: Temperature) -> None:  # noqa: ARG001  (the step has no fields)
    """Fit the temperature of the network as it stands on the calibration half."""
    fitted = run.model_temperature()
    if fitted.at_limit:
        run.find(
            "temperature-at-limit",
            f"the fitted temperature, {fitted.value:.3g}, is at the end of its range: the calibration half is answered "
            "(nearly) all right or all wrong and does not determine it; use more, or harder, examples.",
        )
    run.temperature = fitted.value
