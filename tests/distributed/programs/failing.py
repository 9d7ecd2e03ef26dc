"""Two processes of which the second ends in the way that is asked for; each prints how the first came to know."""

import os
import signal
import sys
import time
from pathlib import Path

import torch

from rushlight.runtime import distributed
from rushlight.runtime.errors import MemoryLimitError, RushlightError

how = sys.argv[1]
signal.signal(signal.SIGTERM, signal.SIG_IGN)  # torchrun sends it as soon as one has failed
started = 0.0
try:
    with distributed.started_processes():
        distributed.total(torch.ones(1))
        started = time.monotonic()
        if distributed.rank() == 1:
            if how == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            if how == "silent":
                time.sleep(20)
            raise MemoryLimitError("out of memory on cuda:1")
        distributed.total(torch.ones(1))
except RushlightError as error:
    line = f"{time.monotonic() - started:.0f} s, exit {error.exit_code}: {error}"
    (Path(sys.argv[2]) / os.environ["RANK"]).write_text(line)
    time.sleep(1)  # torchrun ends the others as soon as one has failed
    sys.exit(error.exit_code)
