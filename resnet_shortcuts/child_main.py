"""The first file that a child process runs, as a script: ``python -P child_main.py KIND PARENT_PID SOURCE_SHA256``.

It loads the package from the folder that it lies in, which is the one that the parent runs, whatever the working folder
or another installation holds under the same name. See `child_process`.
"""

import importlib.util
import os
import signal
import sys


def _load_package(folder: str) -> None:
    """Import ``resnet_shortcuts`` from this folder, without a look at ``sys.path``."""
    init = os.path.join(folder, "__init__.py")  # noqa: PTH118
    spec = importlib.util.spec_from_file_location("resnet_shortcuts", init, submodule_search_locations=[folder])
    if spec is None or spec.loader is None:
        raise ImportError(f"no package at {folder}")
    package = importlib.util.module_from_spec(spec)
    sys.modules["resnet_shortcuts"] = package
    spec.loader.exec_module(package)


def main() -> None:
    """Serve the parent until its input ends."""
    for name in ("SIGINT", "SIGHUP"):  # both reach the whole process group; the parent decides what they mean
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    _load_package(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120
    from resnet_shortcuts import child_process

    kind, parent, sha256 = sys.argv[1:]
    child_process.serve(kind, int(parent), sha256)


if __name__ == "__main__":
    main()
