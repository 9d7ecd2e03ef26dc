import pytest

from rushlight.nn import UnknownModel, build_model, model_options


@pytest.mark.parametrize(
    ("name", "help_given"), [("resnet_18", "did you mean 'resnet18'"), ("xyz", "known: fully_connected, ")]
)
def test_an_unknown_model_is_refused_with_help(name: str, help_given: str) -> None:
    with pytest.raises(UnknownModel, match=help_given):
        build_model(name, 10)


def test_an_unknown_option_is_refused_with_help() -> None:
    with pytest.raises(UnknownModel, match=r"'resnet18' has no option 'drop_out': did you mean 'dropout'"):
        build_model("resnet18", 10, drop_out=0.1)


@pytest.mark.parametrize("argument", ["classes", "channels", "size"])
def test_a_count_below_one_is_refused_by_its_name(argument: str) -> None:
    with pytest.raises(ValueError, match=f"{argument} is 0"):
        build_model("deep_net", **{"classes": 10, argument: 0})


def test_options_are_found_with_their_defaults() -> None:
    assert model_options("resnet18") == {"small_images": None, "zero_init_residual": False, "dropout": 0.0}
    assert "dropout" in model_options("wide_residual_net")
