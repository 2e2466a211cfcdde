"""Writing tuned networks and proving that the files compute the same."""

from calibrate.export.decisions import BATCH, against, otherwise
from calibrate.export.onnx_graph import Traced, to_onnx, traced
from calibrate.export.runtime import check_parity, measure_latency, require_runtime, takes, usual_tolerance
from calibrate.export.tuned_file import Provenance, check_tuned, provenance_of, tuned_bytes

__all__ = [
    "BATCH",
    "Provenance",
    "Traced",
    "against",
    "check_parity",
    "check_tuned",
    "measure_latency",
    "otherwise",
    "provenance_of",
    "require_runtime",
    "takes",
    "to_onnx",
    "traced",
    "tuned_bytes",
    "usual_tolerance",
]
