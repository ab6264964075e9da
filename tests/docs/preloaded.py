"""Python with the libraries of others imported already: a server that forks for each command, so that a page's twenty commands
do not import torch twenty times. Nothing of this project is imported before the fork.

    python preloaded.py SOCKET         serve
    shims(folder, SOCKET)              write ``python``, ``pytest`` and ``spikecost``, which ask the server
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import traceback
import types
from collections.abc import Iterator, Sequence
from pathlib import Path

LIBRARIES = (
    "torch",
    "numpy",
    "pandas",
    "matplotlib",
    "click",
    "pytest",
    "spikingjelly.activation_based",
    "snntorch",
    "torchvision",
)
COMMANDS = {"python": (), "pytest": ("-m", "pytest"), "spikecost": ("-m", "spikecost")}

CLIENT = """#!{python} -IS
import json, os, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect({socket!r})
asked = {{"arguments": [*{before!r}, *sys.argv[1:]], "folder": os.getcwd(), "environment": dict(os.environ)}}
socket.send_fds(server, [json.dumps(asked).encode() + b"\\n"], [0, 1, 2])
status = server.makefile().readline()
sys.exit(int(status) if status.strip() else "the server of preloaded Python ended")
"""


def shims(folder: Path, address: Path) -> None:
    """Write the commands, which run as they would in a process of their own."""
    for name, before in COMMANDS.items():
        path = folder / name
        path.write_text(CLIENT.format(python=sys.executable, socket=str(address), before=before), encoding="utf-8")
        path.chmod(0o755)


@contextlib.contextmanager
def server(address: Path) -> Iterator[None]:
    bare = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}  # each command has its own
    command = [sys.executable, "-P", __file__, str(address)]
    with subprocess.Popen(command, env=bare, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "ready\n", "preloaded Python did not start"
            yield
        finally:
            process.kill()


def _serve(address: str) -> None:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in LIBRARIES:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
    assert "bench" not in sys.modules
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the children that answer are not waited for
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(address)
    listening.listen()
    print("ready", flush=True)
    while True:
        client, _ = listening.accept()
        if os.fork() == 0:
            listening.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os._exit(_answer(client))
        client.close()


def _answer(client: socket.socket) -> int:
    """Run what is asked for in a child, and say how it ended."""
    text, descriptors, _, _ = socket.recv_fds(client, 1 << 16, 3)
    while not text.endswith(b"\n"):
        text += client.recv(1 << 16)
    asked = json.loads(text)
    child = os.fork()
    if child == 0:
        client.close()
        for at, descriptor in enumerate(descriptors):
            os.dup2(descriptor, at)
            os.close(descriptor)
        os._exit(_run(asked["arguments"], asked["folder"], asked["environment"]))
    _, ended = os.waitpid(child, 0)
    status = os.waitstatus_to_exitcode(ended)
    client.sendall(f"{status if status >= 0 else 128 - status}\n".encode())  # of a signal as a shell says it
    return 0


def _run(arguments: Sequence[str], folder: str, environment: dict[str, str]) -> int:
    """As ``python ARGUMENTS`` would, and return its exit status."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
    importlib.invalidate_caches()
    try:
        match arguments:
            case ["-c", code, *rest]:
                _as_main(code, ["-c", *rest])
            case ["-" | "", *rest]:
                _as_main(sys.stdin.read(), ["-", *rest])
            case ["-m", module, *rest]:
                sys.path.insert(0, folder)
                sys.argv = [module, *rest]
                runpy.run_module(module, run_name="__main__", alter_sys=True)
            case [file, *rest]:
                sys.path.insert(0, str(Path(file).resolve().parent))
                sys.argv = [file, *rest]
                runpy.run_path(file, run_name="__main__")
            case []:
                _as_main(sys.stdin.read(), [""])
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    else:
        status = 0
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    return status


def _as_main(code: str, arguments: list[str]) -> None:
    sys.path.insert(0, "")
    sys.argv = arguments
    sys.modules["__main__"] = main = types.ModuleType("__main__")
    exec(compile(code, "<string>", "exec"), main.__dict__)


if __name__ == "__main__":
    _serve(sys.argv[1])
