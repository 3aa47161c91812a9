"""What a measurement must know of the machine: its processor and what else runs on it.

Reads /proc, so Linux only. Decides nothing about what is measured.
"""

from __future__ import annotations

import os
import platform
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from nmt.hardware import available_cores, process_tree, processor

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16")
"""Of the processor's abilities, those that products of matrices gain from."""


def facts() -> dict[str, object]:
    """Processor, cores, its abilities among `FLAGS`, memory in GiB, operating system and Python."""
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    cpu = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = set(cpu.get("flags", "").split())
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "processor": processor(),
        "cores": available_cores(),
        "flags": [flag for flag in FLAGS if flag in flags],
        "memory_gib": round(pages / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def load_average() -> float:
    """Of the last minute."""
    return os.getloadavg()[0]


def cpu_seconds(roots: Iterable[int]) -> float:
    """Processor time of processes and their descendants, the ended ones that were waited for included."""
    return sum(sum(_times(pid)) for pid in {pid for root in roots for pid in process_tree(root)})


def own_cpu_seconds(pid: int) -> float:
    """Processor time of one process without its children."""
    return sum(_times(pid)[:2])


def _times(pid: int) -> list[float]:
    """Seconds of user and system time, own and of the ended children; nothing for a process that has ended."""
    try:
        # the name, in parentheses, may hold blanks; fields 14 to 17 of proc_pid_stat(5) are the four times
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
    return [int(field) / TICKS_PER_S for field in fields[11:15]]


LOOK_S = 0.5
"""Between two looks at the processes whose time is ours. What one uses after the last look counts as others'."""


def busy_seconds() -> float:
    """Processor time of the whole machine since it was started, time stolen by a hypervisor included."""
    fields = [int(field) for field in Path("/proc/stat").read_text().partition("\n")[0].split()[1:]]
    idle, waiting, guest = fields[3], fields[4], sum(fields[8:10])  # guest time is counted in user time too
    return (sum(fields) - idle - waiting - guest) / TICKS_PER_S


def watch(roots: Iterable[int]) -> Callable[[], float]:
    """Begin to watch; the returned function says how many cores others than `roots` have used since, on average."""
    roots = list(roots)
    used: dict[int, float] = {}

    def look() -> float:
        """Seconds of all processes of ours that were ever seen: nobody may wait for one that is killed."""
        for pid in {pid for root in roots for pid in process_tree(root)}:
            used[pid] = max(used.get(pid, 0.0), own_cpu_seconds(pid))
        return sum(list(used.values()))

    def keep_looking() -> None:
        while True:
            time.sleep(LOOK_S)
            look()

    started, busy, own = time.monotonic(), busy_seconds(), look()
    threading.Thread(target=keep_looking, daemon=True).start()

    def others() -> float:
        seconds = max(time.monotonic() - started, 1e-9)
        return max(0.0, (busy_seconds() - busy) - (look() - own)) / seconds

    return others
