"""Modules without their first weights: nothing is drawn, and no compiler is loaded."""

import subprocess
import sys

import torch
from torch import nn

from rushlight.nn.models import build_model
from rushlight.runtime.uninitialised import structure_only, without_random_weights


def test_nothing_is_drawn_and_the_context_ends():
    before = torch.get_rng_state()
    with without_random_weights():
        layer = nn.Linear(3, 2)
        nn.init.orthogonal_(layer.weight)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.empty(1000).normal_().std() > 0.5


def test_the_structure_is_that_of_the_model_without_its_memory():
    with structure_only():
        plan = build_model("resnet18", 10, size=32)
    shapes = {name: tensor.shape for name, tensor in build_model("resnet18", 10, size=32).state_dict().items()}
    assert {name: tensor.shape for name, tensor in plan.state_dict().items()} == shapes
    assert all(tensor.is_meta for tensor in plan.state_dict().values())


def test_a_saved_model_is_rebuilt_without_loading_the_compiler(tmp_path):
    code = (
        "import sys\n"
        "from rushlight.inference.model_file import rebuilt\n"
        "from rushlight.nn.models import build_model\n"
        "tensors = build_model('resnet18', 2, size=32).state_dict()\n"
        "rebuilt('a file', 'resnet18', tensors, lambda: build_model('resnet18', 2, size=32))\n"
        "print('torch._dynamo' in sys.modules)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["False"]
