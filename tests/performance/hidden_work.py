"""Writes the table in docs/performance.md, from the committed figures. It compares the machine instructions of each
kernel with the number of instructions that a GPU can issue while it moves the kernel's bytes."""

import json
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "performance.md"
FIGURES = pathlib.Path(__file__).resolve().parent / "figures" / "machine_code.json"
# An H100 SXM has 132 multiprocessors that issue for 128 threads a cycle at 1.7 GHz, and memory of 3.35 TB/s.
INSTRUCTIONS_PER_BYTE = 132 * 128 * 1.7e9 / 3.35e12
BLOCK = 32  # Elements that share the two bytes of a scale.
# AdamW uses the kernels of Adam, and the table names the rule that most people use.
ROWS = (
    "SGD_Plain in float32", "SGD_Plain in bf16", "SGD_Plain in bf16_stochastic", "SGD_Plain in compact",
    "SGD_Momentum in compact", "RMSProp_Plain in compact",
    "Adam_Plain in float32", "Adam_Plain in bf16_master", "Adam_Plain in bf16_split", "Adam_Plain in bf16",
    "Adam_Plain in bf16_stochastic", "Adam_Plain in all_bf16", "Adam_Plain in all_bf16_stochastic",
    "Adam_Plain in compact", "Adam_AmsGrad in compact",
)
HEAD = ["| | bytes | hidden behind them | instructions | of half rate: hidden | of half rate | registers |",
        "|---|---|---|---|---|---|---|"]


def bytes_of(work):
    wide = 16 * (work["loads16"] + work["stores16"]) + 8 * (work["loads8"] + work["stores8"])
    return wide / work["elements"] + 2 * (work["loads_narrow"] + work["stores_narrow"]) / BLOCK


def row(name, work):
    moved = bytes_of(work)
    hidden = moved * INSTRUCTIONS_PER_BYTE
    cells = (name.replace("Adam_", "AdamW_").replace("_Plain", "").replace("_", " "), f"{moved:g}", f"{hidden:.0f}", f"{work['instructions']:.0f}",
             f"{hidden / 2:.0f}", f"{work['half_rate']:.0f}", f"{work['registers']}")
    return "| " + " | ".join(cells) + " |"


def table(figures):
    return "\n".join(HEAD + [row(name, figures["work"][name]) for name in ROWS]) + "\n"


def with_table(text, made):
    """Returns the text with its table of the same head replaced by `made`."""
    before, _, rest = text.partition(HEAD[0])
    _, _, after = rest.partition("\n\n")
    return before + made + "\n" + after


if __name__ == "__main__":
    DOCUMENT.write_text(with_table(DOCUMENT.read_text(), table(json.loads(FIGURES.read_text()))))
