"""onepass - fused optimizer kernels for CPU and CUDA. docs/python/package.md explains the package.

Importing it loads no library, no torch and no numpy, and never fails: the first call that needs the library loads it.
"""

from onepass._buffers import parameter
from onepass._interface import CPU, DTYPES, MASTERS, ROUNDINGS, STATES, Options, Parameter, Storage
from onepass._library import Error, library
from onepass._memory import memory_report
from onepass._optimizer import Optimizer
from onepass._version import __version__
