"""gpt_test.py - the program examples/pytorch/gpt.py: its table and its picture."""

import re
import xml.etree.ElementTree

import pytest
import torch

import gpt
import onepass.torch as onepass


@pytest.fixture
def printed(tmp_path, capsys):
    """The lines that the program prints for a text that is not compressed, and its picture."""
    (tmp_path / "text").write_text("EGOTIST, n. A person of low taste, more interested in himself than in me. " * 20)
    gpt.main(["--steps", "8", "--width", "16", "--text", str(tmp_path / "text"), "--out", str(tmp_path / "gpt.svg")])
    return capsys.readouterr().out.splitlines(), xml.etree.ElementTree.parse(tmp_path / "gpt.svg").getroot()


def test_the_table_has_loss_memory_and_time_of_each_run(printed):
    rows = {name: list(map(float, numbers.split())) for name, numbers in
            (re.fullmatch(r"(\S.*?)  +([\d. ]+)", line).groups() for line in printed[0][1:5])}
    assert list(rows) == list(gpt.RUNS)
    torchs = rows["PyTorch, float32"]
    for row in rows.values():
        assert row[0] == pytest.approx(torchs[0], rel=0.01) and row[0] < 3.3 and row[2] >= 0
    bytes_beside = [row[1] for row in rows.values()]
    assert bytes_beside[:3] == [8, 8, 10]
    # Tensors that are no multiple of 32 elements end with a group of fewer, which has a scale as well.
    assert bytes_beside[3] == pytest.approx(2 + 2.125, rel=0.01)


def test_the_picture_has_curves_and_bars_of_each_run(printed):
    def found(kind):
        return printed[1].findall(f".//{{http://www.w3.org/2000/svg}}{kind}")

    assert len(found("polyline")) == 2 * len(gpt.RUNS)  # Of losses, and of their differences from torch's.
    assert len(found("rect")) == 1 + 3 * len(gpt.RUNS)
    assert {len(line.get("points").split()) for line in found("polyline")} == {8}
    assert {"16.000 bytes", "14.000 bytes"} <= {text.text for text in found("text")}


def test_the_text_is_the_dictionary():
    if not gpt.TEXT.is_file():
        pytest.skip(f"there is no {gpt.TEXT}: tools/setup installs the package dict-devil, which has it")
    text = gpt.Text()
    inputs, targets = text.batch(3)
    assert inputs.shape == (gpt.BATCH, gpt.CONTEXT) and torch.equal(inputs[:, 1:], targets[:, :-1])
    everything = "".join(text.characters[number] for number in text.training.tolist())
    assert "EGOTIST, n.  A person of low taste" in everything


def test_clipping_happens_in_the_step():
    text = type("Text", (), {"batch": lambda self, step: (torch.arange(8)[None] % 4, torch.arange(1, 9)[None] % 4)})()
    _, optimizer, _ = gpt.train(text, gpt.GPT(4, 16, 2, 1), onepass.AdamW, 2)
    assert optimizer.grad_norm > 0
