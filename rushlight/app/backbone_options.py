"""The flags of pretrained bodies, and the order of training that they mean."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rushlight.app import options
from rushlight.app.training_options import Length
from rushlight.runtime.errors import InputError

if TYPE_CHECKING:
    from rushlight.runtime.run_folder import RunFolder
    from rushlight.tasks.image_classifier import ImageClassifier
    from rushlight.training.callbacks import Callback

_PANEL = "Pretrained network (for photographs)"

Backbone = Annotated[
    str | None,
    typer.Option(
        "--backbone",
        metavar="NAME",
        help="The pretrained network to begin with: efficientnet_lite0 (needs no download; what photographs get "
        "unasked), resnet18 to resnet152, or timm/NAME.",
        rich_help_panel=_PANEL,
        show_default=False,
    ),
]
Head = Annotated[
    str | None,
    typer.Option(
        "--head",
        metavar="NAME",
        help="What is new on top of it: average_and_maximum (unless another is named), average, convolution or "
        "two_layer.",
        rich_help_panel=_PANEL,
        show_default=False,
    ),
]
Freeze = Annotated[
    bool,
    typer.Option("--freeze", help="Train only the head, also where there is time for more.", rich_help_panel=_PANEL),
]
UnfreezeEpochs = Annotated[
    float | None,
    typer.Option(
        "--unfreeze-epochs",
        metavar="NUMBER",
        callback=options.positive,
        help="After the head, train all of it for so many passes over the images.",
        rich_help_panel=_PANEL,
        show_default=False,
    ),
]
FeaturesOnce = Annotated[
    bool,
    typer.Option(
        "--features-once/--no-features-once",
        help="Run the frozen network over the images once and keep what it says, or run it for every pass over them, "
        "with random changes of the images.",
        rich_help_panel=_PANEL,
    ),
]

MovingStatistics = Annotated[
    bool,
    typer.Option(
        "--moving-statistics",
        help="Once all of it trains, let the statistics of its batch norms follow your images; else they stay.",
        rich_help_panel=_PANEL,
    ),
]

ProgressiveSizes = Annotated[
    str | None,
    typer.Option(
        "--progressive-sizes",
        metavar="PIXELS",
        help="Once all of it trains, begin with images of these sizes, such as 128,192, each for an equal part of the "
        "time, and end with the full size.",
        rich_help_panel=_PANEL,
        show_default=False,
    ),
]


def parse_sizes(text: str | None) -> tuple[int, ...]:
    """Sides in pixels with commas between them.

    Raises:
        InputError: something between the commas is not a whole number above zero.
    """
    parts = [] if text is None else [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise InputError(f"--progressive-sizes {text}: give whole numbers of pixels, as in 128,192")
    return tuple(int(part) for part in parts)


@dataclass(frozen=True)
class BackbonePlan:
    """What the flags of a pretrained body ask for.

    Attributes:
        head, freeze, unfreeze_epochs, features_once, moving_statistics, progressive_sizes: as the flags.
    """

    head: str | None = None
    freeze: bool = False
    unfreeze_epochs: float | None = None
    features_once: bool = True
    moving_statistics: bool = False
    progressive_sizes: tuple[int, ...] = ()

    def checked(self) -> "BackbonePlan":
        """The same.

        Raises:
            InputError: two flags contradict each other.
        """
        if self.freeze and self.unfreeze_epochs is not None:
            raise InputError("--freeze leaves the network as it is, and --unfreeze-epochs trains it: give one of them")
        if self.freeze and self.moving_statistics:
            raise InputError("--freeze leaves the network as it is, and --moving-statistics does not: give one of them")
        if self.freeze and self.progressive_sizes:
            raise InputError("--freeze leaves the network as it is, and --progressive-sizes are for training it")
        return self

    def require_backbone(self, classifier: "ImageClassifier") -> None:
        """Refuse flags that mean nothing for a network from scratch, and sizes that do not suit the images.

        Raises:
            InputError: one was given, and there is no pretrained body; or sizes do not grow to that of the images.
        """
        from rushlight.training.resizing import growing

        if classifier.backbone is None and self != BackbonePlan():
            raise InputError(
                "--head, --freeze, --unfreeze-epochs, --no-features-once, --moving-statistics and --progressive-sizes "
                "are for a pretrained network; name one with --backbone"
            )
        growing(self.progressive_sizes, classifier.data.size)

    def fit(
        self,
        classifier: "ImageClassifier",
        run: "RunFolder",
        length: Length,
        callbacks: "list[Callback]",
        **settings: Any,
    ) -> None:
        """Train a classifier with a pretrained body in the order that was asked for.

        Args:
            classifier: whose body is frozen yet.
            run: the run folder.
            length: of the whole where it is a time limit, else of the training of the head.
            callbacks: for every part of it.
            **settings: rates and their like.
        """
        from rushlight.training.resizing import growing

        if self.moving_statistics:
            classifier.learner.freeze_batch_norm(False)
        by_time_alone = length.minutes is not None and self.unfreeze_epochs is None
        if by_time_alone and self.features_once:
            rates = {name: settings[name] for name in ("lr", "weight_decay")}
            classifier.fit_within(
                length.minutes or 0.0, freeze=self.freeze, sizes=self.progressive_sizes, callbacks=callbacks, **rates
            )
            return
        # A rate for each layer group is meant for the time when all of them train.
        alone = settings | ({"lr": None} if isinstance(settings["lr"], tuple) else {})
        if self.features_once and (length.epochs is not None or length.minutes is not None):
            classifier.fit_head(length.epochs, lr=alone["lr"], callbacks=callbacks)
        else:
            length.fit(classifier, run, callbacks, **alone)
        if self.unfreeze_epochs is not None:
            classifier.unfreeze()
            smaller_first = growing(self.progressive_sizes, classifier.data.size)
            classifier.fit(
                self.unfreeze_epochs, minutes=length.minutes, callbacks=[*smaller_first, *callbacks], **settings
            )
