"""What to do next with an image classifier."""

from __future__ import annotations

from math import ceil
from statistics import NormalDist

from rushlight.app.report import words
from rushlight.app.report.advice import Advice, first_few, longer, validation_trend
from rushlight.app.report.image_facts import ImageFacts
from rushlight.app.report.scores import ImageScores

WIDE = 0.04  # half an interval: beyond it, most changes to a recipe cannot be told from chance
WANTED = 0.02
UNBALANCED = 3.0  # the largest class against the smallest
GAP = 0.03  # of accuracy between training and validation images, beyond both intervals
GOOD = 0.97
CONFUSED = 0.25  # of all mistakes, made between two classes
FEWEST_MISTAKES = 8  # before a pattern is looked for in them
BOLD = 0.95  # sure, and wrong: where wrong labels are found
_Z = NormalDist().inv_cdf(0.975)


def image_advice(facts: ImageFacts) -> list[Advice]:
    """The most urgent first."""
    scores = facts.scores
    if scores is None:
        return first_few([_nothing_measured(facts), _new_image(facts)])
    return first_few(
        [
            _too_few_to_measure(facts, scores),
            _unbalanced(facts),
            _too_long(facts),
            _not_long_enough(facts),
            _more_at_hand(facts),
            _learned_by_heart(facts, scores),
            _too_small(facts, scores),
            _confused(facts, scores),
            _bold_mistakes(facts),
            _not_reliable(scores),
            _test(facts),
            _new_image(facts),
        ]
    )


def _nothing_measured(facts: ImageFacts) -> Advice:
    run = facts.record.folder
    if facts.record.fact("data", "fit_all"):
        why = "This model was trained on the validation images too, so how good it is was not measured."
        return Advice.of("Measure it on images that it has not seen", why, "evaluate", run, "--data", "FOLDER")
    why = "The run folder holds no results, and the images are not at hand."
    return Advice.of("Measure how good the model is", why, "evaluate", run, "--data", "FOLDER")


def _too_few_to_measure(facts: ImageFacts, scores: ImageScores) -> Advice | None:
    interval, n = scores.accuracy.interval, scores.accuracy.n
    if interval is None or (interval[1] - interval[0]) / 2 <= WIDE:
        return None
    p = min(0.98, max(0.02, scores.accuracy.value))
    needed = ceil(_Z**2 * p * (1 - p) / WANTED**2 / 50) * 50
    half = 50 * (interval[1] - interval[0])
    why = (
        f"{words.plural(n, 'image')} measure the accuracy to within {half:.1f} points either way, which hides most "
        f"improvements; about {needed:,} would measure it to within {100 * WANTED:.0f}. Until then, trust the interval "
        "and not the figure."
    )
    return Advice("Set more images aside to measure with", why)


def _unbalanced(facts: ImageFacts) -> Advice | None:
    counts = facts.class_counts
    if not counts or facts.record.fact("arguments", "class_weights") == "balanced":
        return None
    rare, common = min(counts, key=lambda name: counts[name]), max(counts, key=lambda name: counts[name])
    if counts[common] < UNBALANCED * max(1, counts[rare]):
        return None
    why = (
        f"There are {words.plural(counts[common], 'training image')} of “{common}” and {counts[rare]:,} of “{rare}”. "
        "The model gains little by learning the rare class."
    )
    typed = facts.record.command_with("images", class_weights="balanced")
    return Advice.of("Add images of the rare classes, or let them count as much as the common ones", why, *typed)


def _too_long(facts: ImageFacts) -> Advice | None:
    trend = validation_trend(facts.record)
    if trend is None or not trend.has_risen:
        return None
    why = (
        f"The validation loss was lowest at epoch {trend.best_epoch:g} and has risen by {100 * trend.rose:.0f} % "
        "since: the model began to learn the training images by heart."
    )
    typed = facts.record.command_with("images", early_stopping=3)
    return Advice.of("Stop earlier, and keep the best model", why, *typed)


def _not_long_enough(facts: ImageFacts) -> Advice | None:
    trend = validation_trend(facts.record)
    if trend is None or not trend.is_falling or facts.scores is None or facts.scores.mistakes == 0:
        return None
    why = (
        f"The validation loss was still falling, by {100 * trend.fell_lately:.0f} % over the last fifth of the epochs."
    )
    return Advice.of("Train for longer", why, *longer(facts.record, "images"))


def _more_at_hand(facts: ImageFacts) -> Advice | None:
    used = facts.record.fact("data", "train_images")
    if not isinstance(used, int) or facts.class_counts is None or sum(facts.class_counts.values()) < used:
        return None  # there were no more than that
    why = f"It learned from {words.plural(used, 'image')}, as was asked. The others at hand cost nothing."
    return Advice.of("Train on all the images", why, *facts.record.command_with("images", train_images=None))


def _learned_by_heart(facts: ImageFacts, scores: ImageScores) -> Advice | None:
    training, valid = facts.training, scores.accuracy
    if training is None or training.interval is None or valid.interval is None or _more_at_hand(facts) is not None:
        return None
    if training.value - valid.value < GAP or training.interval[0] <= valid.interval[1]:
        return None
    why = (
        f"It is right about {words.percent(training)} of the images it learned from, and about {words.percent(valid)} "
        "of those it did not: more, and more varied, images are worth more than more training. Stronger random changes "
        "come next."
    )
    return Advice.of("Add training images", why, *facts.record.command_with("images", augment="strong"))


def _too_small(facts: ImageFacts, scores: ImageScores) -> Advice | None:
    training, valid = facts.training, scores.accuracy
    if training is None or training.value >= GOOD or training.value - valid.value >= GAP:
        return None
    why = (
        f"It is right about {words.percent(training)} of the images it learned from, and about as many of the others: "
        "it has not learned all there is in them. More time gives a larger network, or more of the same one."
    )
    return Advice.of("Train for longer or with a larger network", why, *longer(facts.record, "images"))


def _confused(facts: ImageFacts, scores: ImageScores) -> Advice | None:
    pairs = scores.most_confused(1)
    if len(scores.classes) < 3 or not pairs or scores.mistakes < FEWEST_MISTAKES:
        return None
    (pair,) = pairs
    back = next((p.count for p in scores.most_confused(200) if (p.truth, p.answer) == (pair.answer, pair.truth)), 0)
    if pair.count + back < CONFUSED * scores.mistakes:
        return None
    why = (
        f"{pair.count + back:,} of {scores.mistakes:,} mistakes are between “{pair.truth}” and “{pair.answer}”. Are "
        "they told apart by something the model sees at this size? Are all the labels right?"
    )
    return Advice.of("Look at the two classes it confuses", why, "explain", facts.record.folder, "--worst", 20)


def _bold_mistakes(facts: ImageFacts) -> Advice | None:
    if facts.examples is None:
        return None
    bold = [example for example in facts.examples.wrong if example.probability >= BOLD]
    if not bold:
        return None
    many = "one mistake" if len(bold) == 1 else f"{len(bold)} of the mistakes shown"
    why = (
        f"It is at least {100 * BOLD:.0f} % sure of {many}. A wrong label, or a picture of two things at once, often "
        "looks like that; the check of the data lists the labels that are most likely wrong."
    )
    source = facts.record.words("data", "name_or_path") or "DATA"
    return Advice.of("Check the labels of its surest mistakes", why, "check", source)


def _not_reliable(scores: ImageScores) -> Advice | None:
    error = scores.calibration_error
    if error is None or error.value < 0.1 or error.n < 200:
        return None
    why = f"Its probabilities are {100 * error.value:.0f} points away from how often it is right, on average."
    return Advice("Do not rely on its probabilities yet", why)


def _test(facts: ImageFacts) -> Advice | None:
    if not facts.has_test or facts.test is not None:
        return None
    why = (
        "Choices were made by the validation images, so they flatter the model a little. The test images have not been "
        "looked at: measure there once, when nothing is left to choose."
    )
    return Advice.of("Measure it on the test images, at the very end", why, "evaluate", facts.record.folder, "--split",
                     "test")  # fmt: skip


def _new_image(facts: ImageFacts) -> Advice:
    why = (
        "The result holds for images like those it was measured on. Try some that were made elsewhere, at another time."
    )
    return Advice.of("Ask it about new images", why, "predict", facts.record.folder, "IMAGE")
