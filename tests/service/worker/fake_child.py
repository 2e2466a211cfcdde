"""A fake child without torch: each function is a way in which a child can behave, most of them bad."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

MESSAGE_FD = int(sys.argv[1]) if __name__ == "__main__" else -1
OUT = Path("../out")
KEY = "ab" * 32
FINISHED = b'{"type":"finished"}\n'


def send(**message: object) -> None:
    os.write(MESSAGE_FD, json.dumps(message).encode() + b"\n")


def progress(done: int) -> None:
    send(type="progress", stage="counting", done=done, total=100)


def finish() -> None:
    (OUT / "summary.json").write_text("{}")
    progress(1)
    send(type="artifact", file="summary.json", media_type="application/json")
    send(type="finished", verdict="improved")


def finish_later() -> None:
    progress(0)
    time.sleep(0.7)
    finish()


def read_files() -> None:
    found = "".join(sorted(path.read_text() for path in Path().iterdir()))
    (OUT / "found.txt").write_text(found)
    send(type="artifact", file="found.txt", media_type="text/plain")
    send(type="finished")


def environment() -> None:
    (OUT / "environment.json").write_text(json.dumps(dict(os.environ)))
    send(type="finished")


def wait() -> None:
    progress(0)
    time.sleep(3600)


def block_signals() -> None:
    """As native code that never comes back to the interpreter."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    wait()


def fork() -> None:
    """Leave a process in the group that ignores SIGTERM, and send its process ID."""
    script = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(3600)"
    other = subprocess.Popen([sys.executable, "-c", script], close_fds=False, pass_fds=(MESSAGE_FD,))
    time.sleep(0.3)
    progress(other.pid)


def fork_and_wait() -> None:
    fork()
    time.sleep(3600)


def hide() -> None:
    """Leave a process in a session of its own, whose parent is dead."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            progress(os.getpid())
            time.sleep(3600)
        os._exit(0)
    os.wait()
    wait()


def crash() -> None:
    progress(1)
    os.kill(os.getpid(), signal.SIGSEGV)


def fail_silently() -> None:
    sys.stderr.write("what is this?\n" * 10_000 + "the last words")
    sys.exit(3)


def flood() -> None:
    for number in range(20_000):
        progress(number)
    send(type="finished")


def flood_without_end() -> None:
    while True:
        progress(1)


def huge_line() -> None:
    while True:
        os.write(MESSAGE_FD, b"x" * 65536)


def nonsense() -> None:
    progress(1)
    os.write(MESSAGE_FD, b'{"type": "finished", "verdict": 3}\n' + FINISHED)
    time.sleep(3600)


def unfinished_line() -> None:
    os.write(MESSAGE_FD, FINISHED[:-1])


def close_everything() -> None:
    os.closerange(0, 100)
    time.sleep(3600)


def link_out() -> None:
    (OUT / "summary.json").symlink_to("/etc/passwd")
    send(type="artifact", file="summary.json", media_type="application/json")
    send(type="finished")


def pipe_out() -> None:
    os.mkfifo(OUT / "summary.json")
    send(type="artifact", file="summary.json", media_type="application/json")
    send(type="finished")


def folder_out() -> None:
    """``out`` itself becomes a link to a folder of the server's."""
    OUT.rename("../gone")
    OUT.symlink_to("/etc")
    send(type="artifact", file="passwd", media_type="text/plain")
    send(type="finished")


def nothing_out() -> None:
    send(type="artifact", file="summary.json", media_type="application/json")
    send(type="finished")


def many_files() -> None:
    (OUT / "a.txt").write_text("a")
    for _ in range(20):
        send(type="artifact", file="a.txt", media_type="text/plain")
    send(type="finished")


def fail() -> None:
    problem = {"title": "No", "status": 422, "code": "data", "detail": "It cannot be read."}
    send(type="failed", problem=problem)
    sys.exit(1)


def crash_after_a_trial() -> None:
    """The next attempt finds the trial, and finishes."""
    trial = f"{KEY}.trial"
    if Path(trial).exists():
        (OUT / "found.txt").write_text(Path(trial).read_text())
        send(type="artifact", file="found.txt", media_type="text/plain")
        send(type="finished")
    else:
        (OUT / trial).write_text("logits")
        send(type="trial", key=KEY, stage="measure", examples=3, file=trial)
        crash()


def crash_at_the_end() -> None:
    finish()
    crash()


def big_file() -> None:
    (OUT / "a.txt").write_bytes(bytes(2**21))
    send(type="artifact", file="a.txt", media_type="text/plain")
    time.sleep(3600)


def checked() -> None:
    (OUT / "weights.safetensors").write_text("weights")
    send(type="checked", facts={"n": 3}, weights="weights.safetensors")


def assigned() -> str:
    """What to do: the document says it, or, where a supervisor wrote the document, the name of the data file."""
    document = json.loads(Path("../assignment.json").read_text())
    return str(document["do"] if "do" in document else Path(document["request"]["data"]).stem)


if __name__ == "__main__":
    globals()[assigned()]()
