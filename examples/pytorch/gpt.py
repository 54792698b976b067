# %% [markdown]
# # A small GPT on real text, in three formats
# A model of characters learns The Devil's Dictionary (Ambrose Bierce, 1911, public domain; Debian's package dict-devil)
# with PyTorch's AdamW and with that of onepass: in float32, in bfloat16 with the split master, and with states of
# 8 bits besides. The program prints loss, memory and time, and draws loss and memory:
#
#     python examples/pytorch/gpt.py --steps 600 --out gpt.svg
#
# Each "# %%" begins a cell for editors that run them one by one.

# %% The program
import argparse
import gzip
import math
import pathlib
import time

import torch
from torch.nn import functional

import onepass.torch as onepass
from picture import draw

TEXT = pathlib.Path("/usr/share/dictd/devil.dict.dz")
CONTEXT, BATCH = 64, 16


# %% The text
class Text:
    """A text as numbers of characters. Its last tenth is kept for validation."""

    def __init__(self, path=TEXT):
        data = pathlib.Path(path).read_bytes()
        text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode()
        self.characters = sorted(set(text))
        number = {character: index for index, character in enumerate(self.characters)}
        numbers = torch.tensor([number[character] for character in text])
        self.training, self.validation = numbers[:len(numbers) * 9 // 10], numbers[len(numbers) * 9 // 10:]

    def batch(self, step):
        """Returns random pieces of the text and, for each character of them, the next one. Every step has its own."""
        starts = torch.randint(len(self.training) - CONTEXT, (BATCH,), generator=torch.Generator().manual_seed(step))
        pieces = torch.stack([self.training[start:start + CONTEXT + 1] for start in starts.tolist()])
        return pieces[:, :-1], pieces[:, 1:]


# %% The model
class Block(torch.nn.Module):
    """Attention to earlier characters, and a perceptron."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = torch.nn.LayerNorm(width), torch.nn.LayerNorm(width)
        self.attend, self.project = torch.nn.Linear(width, 3 * width), torch.nn.Linear(width, width)
        self.widen, self.narrow = torch.nn.Linear(width, 4 * width), torch.nn.Linear(4 * width, width)

    def forward(self, x):
        parts = self.attend(self.norm1(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(*parts, is_causal=True)
        x = x + self.project(mixed.transpose(1, 2).flatten(-2))
        return x + self.narrow(functional.gelu(self.widen(self.norm2(x))))


class GPT(torch.nn.Module):
    """A transformer over characters. It always begins with the same weights."""

    def __init__(self, characters, width=128, heads=4, depth=4):
        super().__init__()
        torch.manual_seed(0)
        self.character = torch.nn.Embedding(characters, width)
        self.place = torch.nn.Embedding(CONTEXT, width)
        self.blocks = torch.nn.Sequential(*(Block(width, heads) for _ in range(depth)))
        self.norm, self.head = torch.nn.LayerNorm(width), torch.nn.Linear(width, characters)
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                torch.nn.init.normal_(weight, std=0.02)

    def forward(self, numbers):
        x = self.character(numbers) + self.place.weight[:numbers.shape[1]]
        return self.head(self.norm(self.blocks(x)))

    def loss(self, numbers, targets):
        return functional.cross_entropy(self(numbers).float().flatten(0, 1), targets.flatten())


# %% The optimizers
# [gpt-runs]
# The optimizer, the type of the weights, and what onepass takes besides.
RUNS = {
    "PyTorch, float32": (torch.optim.AdamW, torch.float32, {}),
    "float32": (onepass.AdamW, torch.float32, {}),
    "bfloat16, split": (onepass.AdamW, torch.bfloat16, {"master": "split"}),
    "split, 8-bit states": (onepass.AdamW, torch.bfloat16, {"master": "split", "states": "8bit"}),
}
# [/gpt-runs]


def bytes_beside(optimizer, model):
    """Returns the bytes of states and masters for each parameter. A state dict has them as they are in memory, if
    checkpoint is "exact"."""
    states = [tensor for state in optimizer.state_dict()["state"].values() for tensor in state.values() if tensor.dim()]
    return sum(tensor.nbytes for tensor in states) / sum(weight.numel() for weight in model.parameters())


def train(text, model, AdamW, steps, lr=2e-3, **options):
    """Trains a model. Returns the losses, the optimizer and the seconds."""
    ours = {"max_grad_norm": 1.0, "checkpoint": "exact"} if issubclass(AdamW, onepass.AdamW) else {}
    optimizer = AdamW(model.parameters(), lr=lr, betas=(0.9, 0.95), weight_decay=0.1, **ours, **options)
    warm = max(1, steps // 10)
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm, 0.55 + 0.45 * math.cos(math.pi * step / steps)))
    losses, start = [], time.perf_counter()
    for step in range(steps):
        loss = model.loss(*text.batch(step))
        optimizer.zero_grad()
        loss.backward()
        if not ours:  # which clip inside the step
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        rate.step()
        losses.append(loss.item())
    return losses, optimizer, time.perf_counter() - start


@torch.no_grad()
def validation_loss(text, model):
    pieces = text.validation[:len(text.validation) // CONTEXT * CONTEXT].view(-1, CONTEXT)
    return model.loss(pieces[:, :-1], pieces[:, 1:]).item()


@torch.no_grad()
def sample(text, model, length=160):
    """Returns characters that the model writes."""
    generator, numbers = torch.Generator().manual_seed(0), torch.zeros(1, 1, dtype=torch.long)
    for _ in range(length):
        chances = model(numbers[:, -CONTEXT:])[:, -1].float().softmax(-1)
        numbers = torch.cat([numbers, torch.multinomial(chances, 1, generator=generator)], 1)
    return "".join(text.characters[number] for number in numbers[0, 1:].tolist())


# %% The runs
def main(arguments=None):
    options = argparse.ArgumentParser(description="Trains a small GPT in several formats and draws loss and memory.")
    options.add_argument("--steps", type=int, default=200)
    options.add_argument("--width", type=int, default=128)
    options.add_argument("--text", default=TEXT, help="a text, which may be compressed with gzip")
    options.add_argument("--out", help="an SVG file for the picture")
    chosen, _ = options.parse_known_args(arguments)  # A notebook has arguments of its own.
    text, curves, bars = Text(chosen.text), {}, {}
    print(f"{'':20} {'loss':>6} {'bytes of states':>16} {'seconds':>8}")
    for name, (AdamW, dtype, more) in RUNS.items():
        model = GPT(len(text.characters), chosen.width).to(dtype)
        curves[name], optimizer, seconds = train(text, model, AdamW, chosen.steps, **more)
        beside, size = bytes_beside(optimizer, model), dtype.itemsize
        bars[name] = {"weights": size, "gradients": size, "states and masters": beside}
        print(f"{name:20} {validation_loss(text, model):6.3f} {beside:16.3f} {seconds:8.1f}")
    print(f"\n{sample(text, model)}")
    if chosen.out:
        numel = sum(weight.numel() for weight in model.parameters())
        draw(chosen.out, f"A GPT of {numel:,} weights learns The Devil's Dictionary", curves, bars)


if __name__ == "__main__":
    main()
