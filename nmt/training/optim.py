"""Update rules, learning-rate schedules and clipping. Knows nothing of data or checkpoints."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from nmt.config import OptimizerConfig


def build_optimizer(config: OptimizerConfig, parameters: Iterable[Tensor]) -> torch.optim.Optimizer:
    """The update rule of a recipe. Weight decay is decoupled in adamw (Loshchilov & Hutter 2019), L2 elsewhere."""
    parameters = list(parameters)
    lr, decay = config.learning_rate, config.weight_decay
    match config.name:
        case "sgd":
            return torch.optim.SGD(parameters, lr=lr, momentum=config.momentum, weight_decay=decay)
        case "adam":
            return torch.optim.Adam(parameters, lr=lr, betas=config.betas, weight_decay=decay, fused=True)
        case "adamw":
            return torch.optim.AdamW(parameters, lr=lr, betas=config.betas, weight_decay=decay, fused=True)
        case "rmsprop":
            return torch.optim.RMSprop(parameters, lr=lr, momentum=config.momentum, weight_decay=decay)


@dataclass(frozen=True)
class Schedule:
    """The learning rate as a function of where training stands."""

    config: OptimizerConfig
    total_updates: int

    def rate(self, update: int, epoch: float, plateaus: int) -> float:
        """For the update with this number (from 1), begun `epoch` epochs into training, after `plateaus` plateaus."""
        config = self.config
        warmup = min(1.0, update / config.warmup_updates) if config.warmup_updates else 1.0
        return config.learning_rate * warmup * self._decay(update, epoch, plateaus)

    def _decay(self, update: int, epoch: float, plateaus: int) -> float:
        config = self.config
        match config.schedule:
            case "constant":
                return 1.0
            case "luong":  # Luong et al. 2015, section 4.1: after 5 epochs halve the rate every epoch
                late = epoch - config.halve_after
                return 1.0 if late < 0 else 0.5 ** (int(late / config.halve_every) + 1)
            case "inverse-sqrt":  # Vaswani et al. 2017, eq. 3, with the peak as the learning rate
                start = max(1, config.warmup_updates)
                return float((start / max(update, start)) ** 0.5)
            case "plateau":
                return float(config.factor**plateaus)
            case "cosine":  # Loshchilov & Hutter 2017, eq. 5, one period
                start = config.warmup_updates
                return self._cosine(min(1.0, max(0, update - start) / max(1, self.total_updates - start)))
            case "cosine-restarts":  # the same with periods T_0, T_0 * T_mult, T_0 * T_mult^2, ...
                here, period = float(max(0, update - config.warmup_updates)), float(config.restart_updates)
                while here >= period:
                    here, period = here - period, period * config.restart_growth
                return self._cosine(here / period)

    def _cosine(self, done: float) -> float:
        """From 1 at the beginning of a period to `final_factor` at its end."""
        cosine = 0.5 * (1 + torch.cos(torch.tensor(done * torch.pi, dtype=torch.float64)).item())
        return self.config.final_factor + (1 - self.config.final_factor) * cosine


def ema_decay(decay: float, update: int) -> float:
    """min(decay, (1 + n) / (10 + n)) of update n (from 1): an average that begins short and grows as training goes on.

    So the first weights, drawn at random, are forgotten after a few updates and not after 1 / (1 - decay) of them.
    """
    return min(decay, (1 + update) / (10 + update))


def clipping_factor(norm: float, threshold: float) -> float:
    """min(threshold / |g|, 1): what to multiply a gradient of this norm by (Pascanu et al. 2013). Threshold 0: 1."""
    return threshold / norm if threshold and norm > threshold else 1.0
