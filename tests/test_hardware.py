"""Devices, precisions and cores."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from nmt.errors import DeviceError
from nmt.hardware import (
    available_cores,
    multiplies_bf16,
    pick_device,
    pick_precision,
    process_tree,
    processor,
    pss_bytes,
)


def test_auto_is_cuda_where_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert pick_device().type == "cuda"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device().type == "cpu"


@pytest.mark.parametrize(
    ("name", "reason"),
    [("cuda:7", "offers 2"), ("tpu", "no device"), ("mps", "not supported"), ("cuda:x", "no device")],
)
def test_a_device_that_is_not_there_is_refused(name: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(DeviceError, match=reason):
        pick_device(name)
    assert pick_device("cuda:1") == torch.device("cuda", 1)


def test_cuda_needs_a_cuda_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(DeviceError, match="offers 0"):
        pick_device("cuda")


@pytest.mark.parametrize(
    ("capabilities", "native"),
    [
        ({"avx512_bf16": True, "amx_bf16": False}, True),
        ({"amx_bf16": True}, True),
        ({"avx512": True}, False),
        ({}, False),
    ],
)
def test_precision_follows_the_hardware_unless_it_is_named(
    capabilities: dict[str, bool], native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    cpu = torch.device("cpu")
    assert multiplies_bf16(cpu) == native
    assert pick_precision("auto", cpu) == (torch.bfloat16 if native else torch.float32)
    assert pick_precision("fp32", cpu) == torch.float32
    assert pick_precision("bf16", cpu) == torch.bfloat16


@pytest.mark.parametrize(("capability", "native"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_cuda_multiplies_bf16_from_ampere_on(
    capability: tuple[int, int], native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert multiplies_bf16(torch.device("cuda")) == native


def test_cores_are_those_this_process_may_use() -> None:
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert available_cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)
    assert available_cores() == len(allowed)


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="no /proc here")
def test_memory_of_child_processes_counts() -> None:
    size = 1 << 26
    program = f"block = bytearray(b'x' * {size}); print(flush=True); input()"
    before = pss_bytes(os.getpid())
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert pss_bytes(os.getpid()) - before >= size
        assert pss_bytes(child.pid) >= size
        child.communicate(b"\n")
    assert pss_bytes(child.pid) == 0


def test_the_processor_has_a_name() -> None:
    assert processor()


def test_a_process_that_ends_while_it_is_looked_at_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Below /proc such a folder is there and cannot be read (ESRCH), at whatever call it happens to end."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert child.pid in process_tree(os.getpid())
        real = Path.iterdir

        def listed(folder: Path) -> Iterator[Path]:
            if folder == Path(f"/proc/{child.pid}/task"):
                raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH), str(folder))
            return real(folder)

        monkeypatch.setattr(Path, "iterdir", listed)
        found = process_tree(os.getpid())
        assert os.getpid() in found
        assert child.pid not in found
    finally:
        child.communicate(b"\n", timeout=30)
