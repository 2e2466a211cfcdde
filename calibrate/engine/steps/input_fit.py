"""The step ``input_fit``: how the inputs of the holdout half fit the network's first running statistics."""

from calibrate.engine.handler import Handler
from calibrate.engine.inputs.fit import find_input_fit, input_findings
from calibrate.engine.run import Run
from calibrate.steps import NotApplicable, ProbeInputFit


def probe_input_fit_(run: Run, step: ProbeInputFit) -> None:
    """Note the input fit; of the network as it came, the one that is known from before the run."""
    given = run.given
    known = given.input_fit if not run.state.changed else None
    found = known or find_input_fit(
        run.state.model,
        given.source,
        given.split.holdout,
        given.setting,
        given.seed,
        training=given.training,
        tuned=run.state.changed,
    )
    if isinstance(found, NotApplicable):
        run.not_applicable_(step, found.reason)
        return
    run.add_outcome_(found)
    for finding in input_findings(found) if known is None else ():
        run.add_finding_(finding.code, finding.message, finding.severity)


class InputFitHandler(Handler[ProbeInputFit]):
    """Carries out ProbeInputFit."""

    def run(self, run: Run, step: ProbeInputFit) -> None:
        """See :meth:`Handler.run`."""
        probe_input_fit_(run, step)
