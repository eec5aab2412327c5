"""What the kernel says of a process (Linux)."""

import os
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def memory(pid: int | str = "self") -> tuple[int, int]:
    """Bytes resident, and bytes where what is shared counts by its share (PSS)."""
    told = dict.fromkeys(("Rss:", "Pss:"), 0)
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        name, *rest = line.split()
        if name in told:
            told[name] = int(rest[0]) * 1024
    return told["Rss:"], told["Pss:"]


def peak(pid: int | str = "self") -> int:
    """The most bytes that were ever resident."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def forget_peak() -> int:
    """Have `peak` of this process told from now on; the bytes that are resident now."""
    Path("/proc/self/clear_refs").write_text("5")
    return memory()[0]


def cpu_seconds(pid: int) -> float:
    """Time that the process has taken, its threads included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS
