"""Rehearse a Dockerfile where no container engine is at hand: its steps, its start, and the README's smoke test.

Run as root: ``python deploy/rehearse.py deploy/Dockerfile.cpu``. The steps run in a copy-on-write view of this
machine's file system (overlayfs and chroot), so nothing outside is changed. What it cannot show: that the base image
has what this machine has (Python, coreutils, curl for the smoke test), and that layers are cached well.
"""

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
NOT_REHEARSED = {"FROM", "EXPOSE", "VOLUME", "HEALTHCHECK", "STOPSIGNAL"}
CHROOT = shutil.which("chroot") or "/usr/sbin/chroot"
SMOKE = re.compile(r"^```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass
class Image:
    """What the instructions so far have made of the container's surroundings."""

    root: Path
    environment: dict[str, str]
    folder: str = "/"
    user: str = "root"
    command: list[str] = field(default_factory=list)

    def start(self, command: list[str]) -> "subprocess.Popen[bytes]":
        """Start ``command`` inside, as the present user, in the present folder."""
        inside = f"cd {shlex.quote(self.folder)} && exec {shlex.join(command)}"
        as_user = ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--clear-groups", "--no-new-privs"]
        entered = [] if self.user == "root" else as_user
        command_line = [CHROOT, str(self.root), *entered, "/bin/sh", "-c", inside]
        return subprocess.Popen(command_line, env=self.environment)


@contextmanager
def copy_on_write_root() -> Iterator[Path]:
    """A view of the whole file system in which every change stays apart."""
    with tempfile.TemporaryDirectory(prefix="rehearsal-", dir="/var/tmp") as folder:
        upper, work, root = (Path(folder) / name for name in ("upper", "work", "root"))
        for place in (upper, work, root):
            place.mkdir()
        options = f"lowerdir=/,upperdir={upper},workdir={work}"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, root], check=True)
        try:
            for name in ("dev", "proc"):
                subprocess.run(["mount", "--bind", f"/{name}", root / name], check=True)
            yield root
        finally:
            subprocess.run(["umount", "--recursive", root], check=True)


def instructions(dockerfile: Path) -> Iterator[tuple[str, str]]:
    """Each instruction and its arguments, without comments."""
    lines = (line.partition("  #")[0].rstrip() for line in dockerfile.read_text().splitlines())
    for line in lines:
        if line and not line.startswith("#"):
            name, _, rest = line.partition(" ")
            yield name, rest


def carry_out(image: Image, name: str, rest: str) -> None:
    """Carry out one instruction."""
    if name == "ARG":
        variable = rest.partition("=")[0]
        if variable in os.environ:
            image.environment[variable] = os.environ[variable]
    elif name == "ENV":
        image.environment |= dict(pair.split("=", 1) for pair in shlex.split(rest))
    elif name == "WORKDIR":
        image.folder = rest
        (image.root / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)
    elif name == "USER":
        image.user = rest
    elif name == "COPY":
        *sources, target = shlex.split(rest)
        copy(image.root / image.folder.lstrip("/"), sources, target)
    elif name == "RUN":
        if image.start(["/bin/sh", "-c", rest]).wait():
            raise SystemExit(f"RUN {rest}: failed")
    elif name == "CMD":
        image.command = json.loads(rest)
    elif name not in NOT_REHEARSED:
        raise SystemExit(f"{name} {rest}: not an instruction that a rehearsal knows")


def copy(folder: Path, sources: list[str], target: str) -> None:
    """Copy as COPY does: files into a folder, one folder's content into a folder."""
    place = folder / target
    for source in sources:
        if (HERE / source).is_dir():
            shutil.copytree(HERE / source, place, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            (place if target.endswith("/") else place.parent).mkdir(parents=True, exist_ok=True)
            shutil.copy(HERE / source, place)


def wait_until_ready(url: str, server: "subprocess.Popen[bytes]") -> None:
    """Wait until the server is ready."""
    for _ in range(240):
        if server.poll() is not None:
            raise SystemExit(f"the server ended with {server.returncode}")
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    raise SystemExit("the server was not ready within two minutes")


def main() -> None:
    """Rehearse the Dockerfile that was named."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("dockerfile", type=Path)
    dockerfile = arguments.parse_args().dockerfile
    smoke = SMOKE.search((HERE / "README.md").read_text())
    assert smoke, "the README has no smoke test"
    with copy_on_write_root() as root:
        pip_settings = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
        image = Image(root, {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", **pip_settings})
        (root / "usr/local/bin/python").unlink(missing_ok=True)
        (root / "usr/local/bin/python").symlink_to("/usr/bin/python3.11")
        for name, rest in instructions(dockerfile):
            print(f"== {name} {rest}", flush=True)
            carry_out(image, name, rest)
        server = image.start(image.command)
        try:
            wait_until_ready("http://127.0.0.1:8000", server)
            image.folder = "/tmp"
            code = image.start(["bash", "-euo", "pipefail", "-c", smoke[1]]).wait()
        finally:
            server.terminate()
            ended = server.wait(60)
    print(f"smoke test: exit code {code}; the server, stopped: {ended}")
    sys.exit(code)


if __name__ == "__main__":
    main()
