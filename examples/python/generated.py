"""Code for the published .proto files, generated when a program starts, into a folder that goes with it."""

import atexit
import pathlib
import shutil
import subprocess
import sys
import tempfile

PROTO = pathlib.Path(__file__).resolve().parents[2] / "proto"




def generate(*files: str) -> None:
    """Makes the modules of these files importable."""
    folder = tempfile.mkdtemp(prefix="meshbus-python-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    plugin = shutil.which("grpc_python_plugin")
    command = ["protoc", f"-I{PROTO}", f"--python_out={folder}"]
    if plugin is not None:
        command += [f"--plugin=protoc-gen-grpc={plugin}", f"--grpc_out={folder}"]
    subprocess.run([*command, *(str(PROTO / file) for file in files)], check=True)
    sys.path.insert(0, folder)
