"""Three processes go through everything by which they agree."""

import os
import sys
import time
from pathlib import Path

import pytest
import torch

from rushlight.runtime import distributed
from rushlight.runtime.errors import StorageError
from rushlight.runtime.seeds import seed_everything, separate_stream


def refuse() -> str:
    raise StorageError("no space to write 'x'")


folder = Path(sys.argv[1])
with distributed.started_processes():
    me = int(os.environ["RANK"])
    assert (distributed.rank(), distributed.ranks(), distributed.local_rank()) == (me, 3, me)
    assert distributed.is_writer() == (me == 0)
    mine = torch.tensor([[1.0 + me, 2.0]])
    assert distributed.total(mine).tolist() == [[6.0, 6.0]]
    assert mine.tolist() == [[1.0 + me, 2.0]]
    parts = distributed.gathered(torch.full((me, 2), float(me)))  # the first has none
    assert [part.tolist() for part in parts] == [[], [[1, 1]], [[2, 2], [2, 2]]]
    assert distributed.bytes_of_writer(b"ab\0c" if me == 0 else None) == b"ab\0c"
    assert distributed.bytes_of_writer(b"") == b""
    assert distributed.from_writer(lambda: {"made by": os.environ["RANK"]}) == {"made by": "0"}
    with pytest.raises(StorageError, match="no space to write 'x'") as caught:  # what the first meets, all raise
        distributed.from_writer(refuse)
    assert caught.value.exit_code == 5
    assert caught.value.is_known_to_all

    for number in range(2):  # the second time is another piece of work
        with distributed.leader_first("work"):
            made = folder / f"made-{number}"
            if me == 0:
                time.sleep(0.3)
                made.touch()
            assert made.exists(), me

    if me == 2:
        time.sleep(float(sys.argv[2]))
    distributed.all_here()

    seed_everything(5)
    separate_stream(me)
    numbers = torch.cat(distributed.gathered(torch.rand(1)))
    assert len(set(numbers.tolist())) == 3
    seed_everything(5)
    assert numbers[0] == torch.rand(1)  # the first has the stream of a process on its own
    if me == 0:
        print("agreed")
assert distributed.ranks() == 1
