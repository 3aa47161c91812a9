"""Which device, which precision, how many threads, how much memory. The one place that asks the machine.

torch is imported only where its answer is needed: the service asks for cores and never loads it.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING

from nmt.errors import DeviceError

if TYPE_CHECKING:
    import torch


def pick_device(name: str = "auto") -> torch.device:
    """`auto`: CUDA where it works, else the CPU. Raises DeviceError for a device that is not there."""
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise DeviceError(f"no device {name!r}: use auto, cpu, cuda or cuda:N") from None
    if device.type not in ("cpu", "cuda"):
        raise DeviceError(f"device {name!r} is not supported: use auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DeviceError(f"device {name!r} is not there: this machine offers {torch.cuda.device_count()} CUDA devices")
    return device


def multiplies_bf16(device: torch.device) -> bool:
    """Whether bf16 products run natively (AVX-512 BF16 or AMX; Ampere and later), and so faster than fp32."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def pick_precision(name: str, device: torch.device) -> torch.dtype:
    """The type of training's products: torch.float32 or torch.bfloat16. `auto`: bf16 where it is native."""
    import torch

    if name == "bf16" or (name == "auto" and multiplies_bf16(device)):
        return torch.bfloat16
    return torch.float32


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def has_nvidia_driver() -> bool:
    """Whether this machine has an NVIDIA driver loaded: a cheap sign that asking CUDA is worth its time."""
    return Path("/dev/nvidiactl").exists()


def processor() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def pss_bytes(root: int) -> int:
    """Proportional set sizes of a process and its descendants: memory that n of them share counts 1/n in each.

    0 where there is no /proc.
    """
    return sum(_pss(pid) for pid in process_tree(root))


def process_tree(root: int) -> list[int]:
    """A process and all that descend from it; empty where it has ended, or where there is no /proc."""
    found = [root]
    for pid in found:  # grows while it is read
        for thread in _threads(pid):
            try:
                found += [int(child) for child in (thread / "children").read_text().split()]
            except OSError:  # ended meanwhile
                continue
    return [pid for pid in found if _threads(pid)]


def _threads(pid: int) -> list[Path]:
    """Of a process; none where it has ended, which may be found out at any point of reading them."""
    try:
        return list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return []


def _pss(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # ended meanwhile
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))
