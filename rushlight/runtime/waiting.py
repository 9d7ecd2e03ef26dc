"""How the threads of a parallel step wait for each other, decided before PyTorch is loaded.

OpenMP's threads wait by spinning, which is fastest while every thread has a processor of its own. Where other programs
want the processors too, a spinning thread takes the time that the one it waits for needs: beside six busy processes
on two cores, convolutions ran four times as fast with threads that sleep instead. On a quiet machine sleeping threads
made steps a tenth to a half slower. So it is looked whether the processors are busy.
"""

import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from statistics import median

BUSY = 0.5  # other threads that run or want to, for each processor
_LOOKS, _SECONDS_BETWEEN = 3, 0.005
_LOAD = Path("/proc/loadavg")  # Linux: three averages, which know only the past, then "running/all" at this moment


def let_threads_sleep_if_busy() -> bool:
    """Have OpenMP's threads sleep while they wait, where other programs keep the processors busy.

    It has an effect only before PyTorch is imported, and none on what is computed. A setting of one's own in
    `OMP_WAIT_POLICY` or `GOMP_SPINCOUNT` stays.

    Returns:
        Whether it was done.
    """
    if "torch" in sys.modules or {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & set(os.environ):
        return False
    if threads_of_others() < BUSY * (os.cpu_count() or 1):
        return False
    os.environ["OMP_WAIT_POLICY"] = "passive"
    return True


def threads_of_others() -> float:
    """How many threads of other programs run or want to, in a moment of looking; 0 where it cannot be told."""
    seen = []
    with suppress(OSError, ValueError, IndexError):
        for look in range(_LOOKS):
            if look:
                time.sleep(_SECONDS_BETWEEN)
            seen.append(int(_LOAD.read_text().split()[3].split("/")[0]) - 1)
    return median(seen) if seen else 0.0
