"""A container of a manifest, as far as one can be had without a runtime: its command, arguments,
variables, user, capabilities, probes, and a root that cannot be written but where it says so."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

SYSTEM = ("usr", "etc", "proc", "dev")
"""What of the machine is in the container, since no image is built here."""


def answered(url: str, body: object = None) -> tuple[int, Any]:
    """The status and the JSON that a server answers, to a body in JSON where there is one."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


class Container:
    """A container that runs. `port` stands for the one that its manifest names."""

    def __init__(self, process: subprocess.Popen[bytes], spec: Mapping[str, Any], port: int):
        self.process = process
        self.port = port
        self._spec = spec

    def ask(self, path: str, body: object = None) -> tuple[int, Any]:
        """The status and the JSON of an answer."""
        return answered(f"http://127.0.0.1:{self.port}{path}", body)

    def passes(self, probe: str) -> bool:
        """Whether a probe of the manifest holds now."""
        said = self._spec[probe]["httpGet"]
        assert said["port"] in ("http", self._spec["ports"][0]["containerPort"])
        with contextlib.suppress(OSError):
            return 200 <= self.ask(said["path"])[0] < 400
        return False

    def wait_for(self, probe: str, seconds: float = 120) -> None:
        """Wait until a probe holds."""
        until = time.monotonic() + seconds
        while not self.passes(probe):
            assert self.process.poll() is None, "it has ended"
            assert time.monotonic() < until, (probe, self.ask("/health/ready"))
            time.sleep(0.1)

    def end(self, grace: float) -> int:
        """Its exit code after SIGTERM."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(grace)


@contextlib.contextmanager
def container(
    spec: Mapping[str, Any], folder: Path, volumes: Sequence[Mapping[str, Any]], **mounts: Path
) -> Iterator[Container]:
    """Run a container of a manifest whose image was built from `folder`. `mounts` are folders by
    their names below /mnt, which can be read only. Skips where that needs more rights."""
    if os.geteuid() != 0 or subprocess.run(["unshare", "--mount", "true"]).returncode != 0:
        pytest.skip("a root of its own needs more rights")
    (folder / "instance").mkdir(exist_ok=True)  # as the Dockerfile does
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        ["unshare", "--mount", "sh", "-euc", _script(spec, folder, volumes, mounts)],
        env=_environment(spec, port),
        stdin=subprocess.DEVNULL,
    )
    try:
        yield Container(process, spec, port)
    finally:
        process.kill()
        process.wait()


def _environment(spec: Mapping[str, Any], port: int) -> dict[str, str]:
    said = {each["name"]: each["value"] for each in spec["env"]}
    assert said["PORT"] == str(spec["ports"][0]["containerPort"])
    path = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
    return {**said, "PATH": path, "PORT": str(port), "PYTHONUNBUFFERED": "1"}


def _script(
    spec: Mapping[str, Any],
    folder: Path,
    volumes: Sequence[Mapping[str, Any]],
    mounts: Mapping[str, Path],
) -> str:
    """The script that makes the root and becomes the container."""
    root = folder.parent / f"{folder.name}-root"
    root.mkdir(exist_ok=True)
    places = {spec["workingDir"]: folder}
    places |= {f"/mnt/{name}": path for name, path in mounts.items()}
    for prefix in {sys.prefix, sys.base_prefix}:
        if not prefix.startswith("/usr"):
            places[prefix] = Path(prefix)
    lines = ["mount --make-rprivate /", f"cd {shlex.quote(str(root))}", "mount -t tmpfs root ."]
    lines += [f"cd {shlex.quote(str(root))}"]
    lines += [f"mkdir {name} && mount --rbind /{name} {name}" for name in SYSTEM]
    lines += ["for name in bin lib lib64; do ln -s usr/$name $name; done"]
    lines += ["mkdir --mode 1777 tmp"]
    writable = {each["mountPath"] for each in spec["volumeMounts"]}
    assert {each["name"] for each in spec["volumeMounts"]} == {each["name"] for each in volumes}
    assert all("emptyDir" in each for each in volumes)
    # What is mounted in another place comes after that.
    for place in sorted({*places, *writable}):
        inside = shlex.quote(place.lstrip("/"))
        lines.append(f"mkdir -p {inside}")
        if place in writable:
            lines.append(f"mount -t tmpfs -o mode=1777 empty {inside}")
        else:
            lines.append(f"mount --bind {shlex.quote(str(places[place]))} {inside}")
            lines.append(f"mount -o remount,bind,ro {inside}")
    lines.append("mount -o remount,ro .")
    security = spec["securityContext"]
    assert security["readOnlyRootFilesystem"]
    assert security["capabilities"] == {"drop": ["ALL"]}
    command = shlex.join(
        [
            *("setpriv", "--no-new-privs", "--bounding-set", "-all", "--inh-caps", "-all"),
            *("--reuid", str(security["runAsUser"]), "--regid", str(security["runAsGroup"])),
            "--clear-groups",
            *spec["command"],
            *spec["args"],
        ]
    )
    inner = f"cd {shlex.quote(spec['workingDir'])} && exec {command}"
    lines.append(f"exec /usr/sbin/chroot . sh -euc {shlex.quote(inner)}")
    return "\n".join(lines)
