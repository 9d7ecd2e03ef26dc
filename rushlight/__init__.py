"""Deep learning for people with little data and little hardware.

    import rushlight as rl

    data = rl.ImageData.from_folder("photos")
    classifier = rl.ImageClassifier(data).fit(minutes=10)
    print(classifier.evaluate().accuracy.percent())

The names below are imported when they are first used (PEP 562): `import rushlight` alone takes a few milliseconds.
`SGD`, `Adam` and their like are PyTorch's own optimizers in the form that is fastest on the device; the same rules
written out for reading are in `rushlight.training.by_hand`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rushlight.version import __version__

if TYPE_CHECKING:
    from rushlight.data.images import ImageData
    from rushlight.data.text import TextData
    from rushlight.inference.explain import Explainer
    from rushlight.inference.predictor import Predictor
    from rushlight.inference.writer import Writer
    from rushlight.runtime.distributed import started_processes
    from rushlight.runtime.measured import Measured
    from rushlight.runtime.memory import reuse_freed_memory
    from rushlight.tasks.image_classifier import ImageClassifier
    from rushlight.tasks.language_model import LanguageModel
    from rushlight.training.averaging import AverageWeights
    from rushlight.training.callbacks import Callback
    from rushlight.training.clipping import GradientClipping
    from rushlight.training.display import ShowProgress
    from rushlight.training.learner import Learner
    from rushlight.training.losses import CrossEntropy
    from rushlight.training.metrics import Accuracy
    from rushlight.training.muon import Muon
    from rushlight.training.optimizers import adagrad as Adagrad
    from rushlight.training.optimizers import adam as Adam
    from rushlight.training.optimizers import adamw as AdamW
    from rushlight.training.optimizers import momentum as Momentum
    from rushlight.training.optimizers import nesterov as Nesterov
    from rushlight.training.optimizers import rmsprop as RMSProp
    from rushlight.training.optimizers import sgd as SGD
    from rushlight.training.resizing import ProgressiveResizing
    from rushlight.training.resuming import Resumable
    from rushlight.training.saving import CycleCheckpoints, SaveEachEpoch
    from rushlight.training.stopping import EarlyStopping, KeepBest
    from rushlight.training.tracking import Tracker

__all__ = [
    "SGD",
    "Accuracy",
    "Adagrad",
    "Adam",
    "AdamW",
    "AverageWeights",
    "Callback",
    "CrossEntropy",
    "CycleCheckpoints",
    "EarlyStopping",
    "Explainer",
    "GradientClipping",
    "ImageClassifier",
    "ImageData",
    "KeepBest",
    "LanguageModel",
    "Learner",
    "Measured",
    "Momentum",
    "Muon",
    "Nesterov",
    "Predictor",
    "ProgressiveResizing",
    "RMSProp",
    "Resumable",
    "SaveEachEpoch",
    "ShowProgress",
    "TextData",
    "Tracker",
    "Writer",
    "__version__",
    "reuse_freed_memory",
    "started_processes",
]

_HOME = {
    "ImageData": "data.images",
    "TextData": "data.text",
    "Explainer": "inference.explain",
    "Predictor": "inference.predictor",
    "Writer": "inference.writer",
    "started_processes": "runtime.distributed",
    "Measured": "runtime.measured",
    "reuse_freed_memory": "runtime.memory",
    "ImageClassifier": "tasks.image_classifier",
    "LanguageModel": "tasks.language_model",
    "AverageWeights": "training.averaging",
    "Callback": "training.callbacks",
    "GradientClipping": "training.clipping",
    "ShowProgress": "training.display",
    "Learner": "training.learner",
    "CrossEntropy": "training.losses",
    "Accuracy": "training.metrics",
    "Muon": "training.muon",
    "ProgressiveResizing": "training.resizing",
    "Resumable": "training.resuming",
    "CycleCheckpoints": "training.saving",
    "SaveEachEpoch": "training.saving",
    "EarlyStopping": "training.stopping",
    "KeepBest": "training.stopping",
    "Tracker": "training.tracking",
    **dict.fromkeys(("SGD", "Adagrad", "Adam", "AdamW", "Momentum", "Nesterov", "RMSProp"), "training.optimizers"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'rushlight' has no attribute '{name}'")
    module = import_module(f"rushlight.{_HOME[name]}")
    # The optimizers are factories, which by their name in the module are functions.
    value = getattr(module, name.lower() if module.__name__.endswith(".optimizers") else name)
    globals()[name] = value  # the next access finds it without coming here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
