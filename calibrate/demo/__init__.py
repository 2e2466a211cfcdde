"""A trained network over real handwritten digits, to try everything on without bringing anything.

A small network with batch normalisation, trained with batches of four on half of scikit-learn's digits; the other half
is held out, as it is and through a bad scanner.
"""

from calibrate.demo.digits import PREPROCESSING
from calibrate.demo.inputs import ARCHITECTURE, ARCHITECTURE_ARGS, DemoInputs, write_inputs
from calibrate.demo.run import run_demo

__all__ = ["ARCHITECTURE", "ARCHITECTURE_ARGS", "PREPROCESSING", "DemoInputs", "run_demo", "write_inputs"]
