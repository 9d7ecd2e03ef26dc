"""The named ingredients of the default recipes, each of which can be left out: what is it worth?

`without=["muon"]` of a task, `--without muon` of a training command and `ablate --leave-one-out` all use these names.
To add one: its line here, and the place in the recipe that asks whether it is left out.
"""

from collections.abc import Iterable, Mapping

from rushlight.runtime.errors import InputError, nearest_name

# What each does, and what is there without it.
PLAIN = {
    "mirroring": "mirrored images are shown too; without it, images as they are",
    "shifts": "images are shown shifted; without it, images as they are",
    "label_smoothing": "a part of the certainty goes to the other classes; without it, none does",
    "annealing": "the learning rate falls towards the end; without it, it stays as it is",
    "weight_decay": "weights are pulled towards zero; without it, they are not",
}
FAST = PLAIN | {
    "whitening": "the first layer is computed from the images; without it, its filters are random",
    "partial_identity": "convolutions begin by passing their input on; without it, they begin at random",
    "scaled_output": "logits begin small; without it, at their usual size",
    "smaller_images_first": "training begins on smaller images; without it, all are of full size",
    "muon": "the steps of the filters are made orthogonal; without it, they follow the gradient with momentum, at the "
    "rate of the head",
    "first_layer_stops": "the first layer is done before the others; without it, it trains to the end",
}
BACKBONE = PLAIN | {
    "unfreezing": "after the head all of it trains, where there is time; without it, only the head does",
    "rate_for_each_group": "layers near the input learn more slowly; without it, all at the middle rate",
    "kept_statistics": "the statistics of batch norm stay those of the published weights; without it, they move",
}
TEXT = {
    "ngram": "the network is told what counts of the text expect, and corrects that; without it, it is alone",
    "dropout": "a part of what each layer shows is hidden; without it, nothing is",
    "input_dropout": "a part of the embedded tokens is hidden; without it, nothing is",
    "weight_dropout": "a part of the hidden-to-hidden weights is left out; without it, none is",
    "gradient_clipping": "large gradients are scaled down; without it, they stay as they are",
    "warm_up": "the learning rate rises at first; without it, it is full from the start",
    "annealing": PLAIN["annealing"],
    "weight_decay": PLAIN["weight_decay"],
    "carried_state": "the state goes on from window to window; without it, each window begins anew",
}


class LeftOut:
    """Which ingredients of a recipe are left out.

    Args:
        without: their names.
        known: the ingredients of the recipe.

    Raises:
        InputError: the recipe has no such ingredient; the nearest is named.
    """

    def __init__(self, without: Iterable[str], known: Mapping[str, str]) -> None:
        self._names = frozenset(without)
        for name in sorted(self._names):
            if name not in known:
                raise InputError(f"the recipe has no ingredient '{name}': {nearest_name(name, known)}")

    def __contains__(self, name: str) -> bool:
        return name in self._names
