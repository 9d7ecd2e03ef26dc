"""Deep learning for people with little data and little hardware.

    import rushlight as rl

    data = rl.ImageData.from_folder("photos")
    classifier = rl.ImageClassifier(data).fit(minutes=10)
    print(classifier.evaluate().accuracy.percent())

The names below are imported when they are first used (PEP 562): `import rushlight` alone takes a few
milliseconds.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rushlight.version import __version__

if TYPE_CHECKING:
    from rushlight.data.images import ImageData
    from rushlight.inference.predictor import Predictor
    from rushlight.runtime.measured import Measured
    from rushlight.tasks.image_classifier import ImageClassifier
    from rushlight.training.callbacks import Callback
    from rushlight.training.learner import Learner
    from rushlight.training.muon import Muon
    from rushlight.training.optimizers import SGD, Adagrad, Adam, AdamW, Momentum, Nesterov, RMSProp

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Callback",
    "ImageClassifier",
    "ImageData",
    "Learner",
    "Measured",
    "Momentum",
    "Muon",
    "Nesterov",
    "Predictor",
    "RMSProp",
    "__version__",
]

_HOME = {
    "ImageData": "rushlight.data.images",
    "Predictor": "rushlight.inference.predictor",
    "Measured": "rushlight.runtime.measured",
    "ImageClassifier": "rushlight.tasks.image_classifier",
    "Callback": "rushlight.training.callbacks",
    "Learner": "rushlight.training.learner",
    "Muon": "rushlight.training.muon",
    **dict.fromkeys(
        ("SGD", "Adagrad", "Adam", "AdamW", "Momentum", "Nesterov", "RMSProp"),
        "rushlight.training.optimizers",
    ),
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'rushlight' has no attribute '{name}'")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value  # the next access finds it without coming here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
