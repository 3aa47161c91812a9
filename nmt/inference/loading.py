"""Which runner and which precision serve a bundle on this machine. Decided once, when it is loaded.

On a CPU the native kernels serve (int8 unless something else is asked for), without torch; torch is the general route:
every device, every registered form of network, and the fallback where the kernels cannot run.
"""

from __future__ import annotations

import logging
from pathlib import Path

from nmt.bundle import Bundle, load_bundle
from nmt.errors import DeviceError
from nmt.hardware import has_nvidia_driver, multiplies_bf16, pick_device
from nmt.inference.pipeline import Pipeline
from nmt.inference.runner import Runner

log = logging.getLogger(__name__)

PRECISIONS = ("auto", "fp32", "bf16", "fp16", "int8")
"""What may be asked for."""
TORCH_PRECISIONS = {"cpu": ("fp32", "bf16"), "cuda": ("fp32", "bf16", "fp16")}


def load_pipeline(
    folder: Path | str,
    device: str = "auto",
    precision: str = "auto",
    threads: int = 1,
    shared_file: int | None = None,
) -> Pipeline:
    """A bundle, verified, ready to translate. `threads`: of torch's products, where it serves; 0: torch's own choice.

    `shared_file`: where processes that load the same bundle hold its weights together (`nmt.native.sharing`).

    Raises BundleError, and DeviceError for a device or precision that is not there.
    """
    bundle = load_bundle(folder)
    runner = choose_runner(bundle, device, precision, threads, shared_file)

    def another() -> Runner:
        return choose_runner(load_bundle(folder), device, precision, threads, shared_file)

    return Pipeline(bundle, runner, another)


def choose_runner(
    bundle: Bundle,
    device: str = "auto",
    precision: str = "auto",
    threads: int = 1,
    shared_file: int | None = None,
) -> Runner:
    """The fastest runner that can do what is asked. Raises DeviceError."""
    if precision not in PRECISIONS:
        raise DeviceError(f"no precision {precision!r}: use {', '.join(PRECISIONS)}")
    is_cpu = device == "cpu" or (device == "auto" and not has_nvidia_driver())
    if not is_cpu:
        chosen = pick_device(device)
        is_cpu = chosen.type == "cpu"
    reason = "there is a GPU"
    if is_cpu:
        from nmt.inference.native_runner import NativeRunner, why_not

        wanted = "int8" if precision == "auto" else precision
        reason = why_not(bundle, wanted)
        if not reason:
            return NativeRunner(bundle, "fp32" if wanted == "fp32" else "int8", shared_file=shared_file)
        if precision in ("auto", "int8"):
            log.warning("torch translates with this model: %s", reason)
    return _torch_runner(bundle, device, precision, threads, reason)


def _torch_runner(bundle: Bundle, device: str, precision: str, threads: int, reason: str) -> Runner:
    """`reason`: why the native kernels do not serve."""
    import torch

    from nmt.inference.torch_runner import TorchRunner

    if threads:
        torch.set_num_threads(threads)
    chosen = pick_device(device)
    possible = TORCH_PRECISIONS[chosen.type]
    if precision == "auto":
        precision = "bf16" if chosen.type == "cuda" and multiplies_bf16(chosen) else "fp32"
    if precision not in possible:
        raise DeviceError(f"no {precision} on {chosen} for this model ({reason}): use {', '.join(possible)} or auto")
    return TorchRunner(bundle, chosen, precision)
