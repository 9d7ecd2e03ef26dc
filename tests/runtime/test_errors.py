import pytest

from rushlight.runtime import errors
from rushlight.runtime.errors import RushlightError, nearest_name


def test_every_kind_of_error_has_an_exit_code_of_its_own():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, RushlightError)]
    codes = [kind.exit_code for kind in kinds]
    assert len(set(codes)) == len(kinds) > 5
    assert 0 not in codes


@pytest.mark.parametrize(
    ("typed", "answer"), [("resnet8", "did you mean 'resnet18'?"), ("xyz", "known: resnet18, vgg")]
)
def test_a_misspelt_name_is_answered_with_the_nearest_or_with_all(typed, answer):
    assert nearest_name(typed, (name for name in ["resnet18", "vgg"])) == answer
