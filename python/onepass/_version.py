"""_version.py - the version, which CMakeLists.txt alone states: in a checkout that file is read, and an installed
package has it in its metadata."""

import importlib.metadata
import pathlib
import re


def version():
    project = pathlib.Path(__file__).resolve().parents[2] / "CMakeLists.txt"
    if project.is_file():
        return re.search(r"^project\(onepass VERSION ([0-9.]+)", project.read_text(), re.M).group(1)
    try:
        return importlib.metadata.version("onepass")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


__version__ = version()
