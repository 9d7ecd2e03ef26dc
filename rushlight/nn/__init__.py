"""Layers and models: tensors in, tensors out. Imports nothing else of this library.

batch_norm    batch normalisation written out
layers        the convolution layer and global pooling
ladder        seven classifiers, one idea better each
resnet        the ResNet family
backbones     bodies with published weights
structure     body, head and layer groups: what a model tells about itself
models        every model by name
"""

from rushlight.nn.backbones import BACKBONES, backbone
from rushlight.nn.batch_norm import BatchNorm2d, BatchNormResult, batch_norm
from rushlight.nn.layers import (
    ConvLayer,
    Norm,
    ResidualConvLayer,
    average_and_max_pool,
    global_average_pool,
    global_max_pool,
)
from rushlight.nn.models import MODELS, UnknownModel, build_model, model_options
from rushlight.nn.resnet import RESNETS, ResNet, ResNetDescription
from rushlight.nn.structure import StructuredModel

__all__ = [
    "BACKBONES",
    "MODELS",
    "RESNETS",
    "BatchNorm2d",
    "BatchNormResult",
    "ConvLayer",
    "Norm",
    "ResNet",
    "ResNetDescription",
    "ResidualConvLayer",
    "StructuredModel",
    "UnknownModel",
    "average_and_max_pool",
    "backbone",
    "batch_norm",
    "build_model",
    "global_average_pool",
    "global_max_pool",
    "model_options",
]
