"""python -m onepass - commands for the terminal. Without a command it is the doctor."""

import argparse
import sys


def main(arguments=None):
    """Runs a command, and returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m onepass", description="Fused optimizers for CPU and CUDA.")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("doctor", help="says what was found, checks steps on each device, and says what to do; this is "
                                       "the default")
    bench = commands.add_parser("bench", help="times steps over a model's shapes beside torch's optimizers")
    bench.add_argument("--model", default="1000x1000", help='"1000x16" (1,000 tensors of 16 elements), "timm:NAME", or '
                                                            '"MODULE:FUNCTION", a function that returns a model')
    bench.add_argument("--device", help='"cpu" or "cuda"; the default is a GPU if there is one')
    bench.add_argument("--rounds", type=int, default=30, help="rounds over all optimizers (30)")
    bench.add_argument("--steps", type=int, default=10, help="steps of each optimizer in a round (10)")
    bench.add_argument("--threads", type=int, help="torch's threads")
    bench.add_argument("--only", help='optimizers to time, by name, with semicolons between: "onepass; torch foreach"')
    bench.add_argument("--out", help="file of a picture, SVG")
    bench.add_argument("--json", action="store_true", dest="as_json", help="prints JSON in place of a table")
    given = vars(parser.parse_args(arguments))
    if given.pop("command") == "bench":
        from onepass.torch import bench as benchmark
        benchmark.run(**given)
        return 0

    from onepass import _doctor
    return _doctor.main()


if __name__ == "__main__":
    sys.exit(main())
