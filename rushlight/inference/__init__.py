"""A saved model gives an answer. Nothing here imports training."""

from rushlight.inference.classifier_file import load_classifier, save_classifier
from rushlight.inference.evaluation import ClassScore, Evaluation, evaluate_logits
from rushlight.inference.predictor import Prediction, Predictions, Predictor, Skipped
from rushlight.inference.tta import VIEWS, tta_probabilities

__all__ = [
    "VIEWS",
    "ClassScore",
    "Evaluation",
    "Prediction",
    "Predictions",
    "Predictor",
    "Skipped",
    "evaluate_logits",
    "load_classifier",
    "save_classifier",
    "tta_probabilities",
]
