"""python -m onepass - commands for the terminal. Without a command it is the doctor."""

import argparse
import sys


def main(arguments=None):
    """Runs a command, and returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m onepass", description="Fused optimizers for CPU and CUDA.")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("doctor", help="says what was found, checks steps on each device, and says what to do; this is "
                                       "the default")
    parser.parse_args(arguments)

    from onepass import _doctor
    return _doctor.main()


if __name__ == "__main__":
    sys.exit(main())
