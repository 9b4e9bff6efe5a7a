"""The training step and the loop over epochs as they were at c72f135, spelled out plainly once more and frozen.

What trains today, by whatever way, must leave the very bits that this leaves. Never mend this file to make a test
pass: of the product it takes only the network, the batches, the learning rate and the position of random draws.
"""

import hashlib
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from tests.compatibility.internals import Case, TrainBatches, TrainSpec, learning_rate, set_position, test_batches


def reference(case: Case, cache, precision: str) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """Digests of weights and momentum, and the history, of one training on the CPU, evaluated after every epoch."""
    dataset, data_spec = case.dataset(cache)
    spec = TrainSpec.model_validate(case.recipe)
    model = case.model(dataset).to(memory_format=torch.channels_last)
    batches = TrainBatches(dataset, data_spec, seed=case.seed, batch_size=spec.batch_size, device="cpu")
    total = spec.iterations or spec.epochs * batches.steps_per_epoch
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=spec.lr,
        momentum=spec.momentum,
        nesterov=spec.nesterov,
        weight_decay=spec.weight_decay,
        fused=False,
    )

    def accuracy(split: Any) -> float:
        model.eval()
        answers = []
        with torch.inference_mode():
            for images, _ in test_batches(split, dataset, data_spec, spec.batch_size, "cpu"):
                answers.append(model(images).argmax(1))  # in fp32, whatever it is trained in
        return 100.0 * int((torch.cat(answers).numpy() == split.labels).sum()) / len(split.labels)

    step, epoch, history = 0, 0, []
    while step < total:
        model.train()
        loss_sum, hits, seen = torch.zeros((), dtype=torch.float64), 0, 0
        for images, labels in batches.epoch(epoch):
            if step == total:
                break
            set_position(model, case.seed, step)
            optimizer.param_groups[0]["lr"] = learning_rate(spec, step, total)
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
                logits = model(images)
            logits = logits.float()
            loss = F.cross_entropy(logits, labels, label_smoothing=spec.label_smoothing)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            loss_sum += loss.detach() * len(labels)
            hits += int((logits.detach().argmax(1) == labels).sum())
            seen += len(labels)
            step += 1
        epoch += 1
        entry = {
            "epoch": epoch,
            "step": step,
            "learning_rate": learning_rate(spec, step - 1, total),
            "train_loss": loss_sum.item() / seen,
            "train_accuracy": 100.0 * hits / seen,
            "test_accuracy": accuracy(dataset.test) if dataset.validation is None or step == total else None,
        }
        if dataset.validation is not None:
            entry["validation_accuracy"] = accuracy(dataset.validation)
        history.append(entry)
    momentum = [(name, optimizer.state[p].get("momentum_buffer")) for name, p in model.named_parameters()]
    kept = [(name, buffer) for name, buffer in momentum if buffer is not None]
    return {"weights": _digest(model.state_dict().items()), "momentum": _digest(kept)}, history


def _digest(tensors: Any) -> str:
    sha = hashlib.sha256()
    for name, tensor in sorted(tensors, key=lambda item: item[0]):
        plain: Tensor = tensor.detach().cpu().contiguous()
        sha.update(f"{name}:{plain.dtype}:{tuple(plain.shape)};".encode())
        sha.update(plain.view(-1).view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()
