"""A factory for the child: it raises what it found out."""

import json
import os
import resource
import socket
from pathlib import Path


def network(in_channels: int) -> None:
    status = Path("/proc/self/status").read_text()
    umask = os.umask(0)
    os.umask(umask)
    found = {
        "interfaces": [name for _, name in socket.if_nameindex()],
        "secrets": [name for name, value in os.environ.items() if "SECRET" in name or "secret" in value],
        "no_new_privileges": "NoNewPrivs:\t1" in status,
        "core": resource.getrlimit(resource.RLIMIT_CORE)[1],
        "umask": umask,
    }
    raise RuntimeError(f"REPORT {json.dumps(found)} END")
