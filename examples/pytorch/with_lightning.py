"""with_lightning.py - a module of Lightning, with a scheduler, clipping by the trainer and a resumed run.

    python examples/pytorch/with_lightning.py
"""

import lightning
import torch

import onepass.torch as onepass
from plain_loop import STEPS, batch, model, show

EPOCH = STEPS // 2  # batches


class Module(lightning.LightningModule):
    def __init__(self, AdamW):
        super().__init__()
        self.network, self.AdamW, self.losses = model(), AdamW, []

    def training_step(self, data, index):
        inputs, targets = data
        loss = torch.nn.functional.mse_loss(self.network(inputs), targets)
        self.losses.append(loss.item())
        return loss

    # [lightning]
    def configure_optimizers(self):
        optimizer = self.AdamW(self.parameters(), lr=1e-2, weight_decay=0.1)
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=STEPS)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
    # [/lightning]


def train(first, last, path, AdamW=onepass.AdamW):
    """Trains from step `first`, which Lightning finds in the checkpoint, to `last`, both at the end of an epoch, and
    saves. Returns the losses."""
    module = Module(AdamW)
    trainer = lightning.Trainer(max_epochs=last // EPOCH, gradient_clip_val=1.0, logger=False,
                                enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
    loader = torch.utils.data.DataLoader([batch(step) for step in range(EPOCH)], batch_size=None)
    trainer.fit(module, loader, ckpt_path=path if first else None, weights_only=False)
    trainer.save_checkpoint(path)
    return module.losses


if __name__ == "__main__":
    show(train)
