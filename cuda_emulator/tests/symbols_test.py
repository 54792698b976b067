"""Compares the CUDA runtime and cuBLAS symbols that binaries need with those that the emulator exports.

Usage: symbols_test.py LIBRARY... -- BINARY...
"""

import re
import subprocess
import sys


def symbols(path, which):
    """Returns the dynamic symbols of a file as a dictionary from name to version node."""
    listing = subprocess.run(["nm", "-D", which, path], check=True, capture_output=True, text=True).stdout
    found = {}
    for line in listing.splitlines():
        match = re.search(r" [A-Za-z] (\w+)(?:@+(\S+))?$", line)
        if match:
            found[match.group(1)] = match.group(2) or ""
    return found


def main():
    split = sys.argv.index("--")
    libraries, binaries = sys.argv[1:split], sys.argv[split + 1:]
    exported = set()
    for library in libraries:
        exported.update(symbols(library, "--defined-only"))
    failed = False
    for binary in binaries:
        needed = {name for name, version in symbols(binary, "--undefined-only").items()
                  if version.startswith(("libcudart", "libcublas")) or re.match(r"(__)?(cuda|cublas)[A-Z]", name)}
        missing = sorted(needed - exported)
        print(f"{binary}: needs {len(needed)} symbols, {len(missing)} are missing")
        for name in missing:
            print(f"  {name}")
        failed = failed or bool(missing)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
