"""with_trainer.py - the Trainer of Hugging Face's transformers, with a schedule, clipping and a resumed run. The model
is a tiny one with new weights: nothing is downloaded.

    python examples/pytorch/with_trainer.py
"""

import torch
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

import onepass.torch as onepass
from plain_loop import STEPS, show

TINY = LlamaConfig(vocab_size=32, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
                   num_key_value_heads=2, max_position_embeddings=32)


class Counting(torch.utils.data.Dataset):
    """Sentences of numbers that count upwards in steps of 1 to 5."""

    def __len__(self):
        return 128

    def __getitem__(self, index):
        numbers = (index + torch.arange(16) * (1 + index % 5)) % TINY.vocab_size
        return {"input_ids": numbers, "labels": numbers}


def train(first, last, folder, AdamW=onepass.AdamW, **options):
    """Trains from step `first`, which the Trainer finds in the folder, to `last`, and saves. Returns the losses."""
    torch.manual_seed(0)
    network = LlamaForCausalLM(TINY)
    arguments = TrainingArguments(
        output_dir=str(folder), max_steps=last, save_steps=last, per_device_train_batch_size=8, logging_steps=1,
        lr_scheduler_type="constant_with_warmup", warmup_steps=5, weight_decay=0.1, max_grad_norm=1.0, seed=0,
        report_to="none", disable_tqdm=True)
    # [trainer]
    trainer = Trainer(network, arguments, train_dataset=Counting(),
                      optimizer_cls_and_kwargs=(AdamW, {"lr": 3e-3, "betas": (0.9, 0.95), **options}))
    trainer.train(resume_from_checkpoint=f"{folder}/checkpoint-{first}" if first else None)
    # [/trainer]
    return [line["loss"] for line in trainer.state.log_history if "loss" in line][first:]


if __name__ == "__main__":
    show(train, STEPS)
