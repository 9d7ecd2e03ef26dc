import pytest
import torch

from rushlight.runtime import device
from rushlight.runtime.device import has_native_bfloat16, select_device, select_precision
from rushlight.runtime.errors import InputError

CPU = torch.device("cpu")


def test_auto_selects_a_device_that_computes():
    assert torch.ones(2, device=select_device("auto")).sum().item() == 2


def test_a_device_object_is_taken_as_it_is():
    assert select_device(CPU) is CPU


def test_an_unknown_device_is_answered_with_the_nearest():
    with pytest.raises(InputError, match="did you mean 'cuda'"):
        select_device("cudaa")


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_a_device_this_machine_lacks_is_refused():
    with pytest.raises(InputError, match="--device cpu"):
        select_device("cuda:0")


def test_an_unknown_precision_is_refused():
    with pytest.raises(InputError, match="did you mean 'float32'"):
        select_precision("float3", CPU)


@pytest.mark.parametrize(("name", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_matrix_products_run_in_the_precision(name, dtype):
    matrix = torch.ones(4, 4)
    with select_precision(name, CPU).autocast():
        assert (matrix @ matrix).dtype is dtype


def test_auto_takes_bfloat16_only_where_the_processor_has_it():
    assert select_precision("auto", CPU).name == ("bfloat16" if has_native_bfloat16(CPU) else "float32")


@pytest.mark.parametrize(("flags", "native"), [(set(), False), ({"avx2", "avx512_bf16"}, True), ({"amx_bf16"}, True)])
def test_a_processor_says_whether_it_multiplies_bfloat16(monkeypatch, flags, native):
    monkeypatch.setattr(device, "_processor_flags", lambda: frozenset(flags))
    assert has_native_bfloat16(CPU) is native
