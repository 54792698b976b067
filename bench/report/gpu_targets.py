"""gpu_targets.py - targets for the figures of a GPU, and the table of the worst figures."""

import typing

LARGE = 64_000_000  # parameters from which memory bandwidth decides the time
MANY_TENSORS = "2000x1000"


class Target(typing.NamedTuple):
    """A bound for a figure of some rows."""
    text: str
    aimed_at: float
    at_most: bool
    applies: typing.Callable  # takes a row; true if the target applies to it
    figure: typing.Callable  # takes a row; returns its figure, or None if it has no such figure


def of_copy(row):
    return row["timings"]["copy"]["over_onepass"]["median"]


def large(row):
    return row["parameters"] >= LARGE and not row["clips"]


def fused(row):
    way = row["contestants"].get("fused")
    return way and way["over_onepass"]["median"]


def is_adamw(row):
    return row["rule"] == "adamw" and row["dtype"] == "float32"


BENCH = [
    Target("share of a copy from 64e6 parameters on, formats from 20 bytes up", 0.90, False,
           lambda row: large(row) and row["bytes_per_parameter"] >= 20, of_copy),
    Target("share of a copy from 64e6 parameters on, compact", 0.75, False,
           lambda row: large(row) and row["format"] == "compact", of_copy),
    Target("host's microseconds of a step of 2,000 tensors", 10.0, True,
           lambda row: row["layout"] == MANY_TENSORS,
           lambda row: row["timings"]["onepass"]["host_microseconds"]["median"]),
]
TORCH = [
    Target("PyTorch's fused AdamW in float32, its time over onepass's", 1.3, False,
           lambda row: is_adamw(row) and row["layout"] != MANY_TENSORS, fused),
    Target("the same for 2,000 tensors of 1,000 elements", 5.0, False,
           lambda row: is_adamw(row) and row["layout"] == MANY_TENSORS, fused),
]


def where(row):
    return " ".join(str(row[key]) for key in ("rule", "format", "dtype", "layout", "parameters", "caches") if key in row)


def line(target, rows):
    """Returns a line with the worst row and all rows that miss the target."""
    found = [(target.figure(row), row) for row in rows if target.applies(row)]
    found = sorted(((figure, where(row)) for figure, row in found if figure is not None), reverse=target.at_most)
    bound = f"at {'most' if target.at_most else 'least'} {target.aimed_at:g}"
    if not found:
        return f"| {target.text} | {bound} | not measured | | |"
    missed = [one for one in found if (one[0] > target.aimed_at if target.at_most else one[0] < target.aimed_at)]
    verdict = "met" if not missed else "missed by " + ", ".join(f"{place} ({figure:.3g})" for figure, place in missed)
    return f"| {target.text} | {bound} | {found[0][0]:.3g} | {found[0][1]} | {verdict} |"


def table(bench_rows, torch_rows):
    """Returns the lines of a Markdown table."""
    lines = ["| what | aimed at | worst | where | verdict |", "|---|---|---|---|---|"]
    both = ((BENCH, bench_rows), (TORCH, torch_rows))
    return lines + [line(target, rows) for targets, rows in both for target in targets]
