"""Writing tuned networks and proving that the files compute the same."""

from calibrate.export.onnx_graph import to_onnx
from calibrate.export.runtime import check_parity, measure_latency, require_runtime
from calibrate.export.tuned_file import Provenance, check_tuned, provenance_of, tuned_bytes

__all__ = [
    "Provenance",
    "check_parity",
    "check_tuned",
    "measure_latency",
    "provenance_of",
    "require_runtime",
    "to_onnx",
    "tuned_bytes",
]
