"""`rushlight train text`."""

from typing import TYPE_CHECKING

import typer

from rushlight.app import options, resume_options, text_options, training_options
from rushlight.app.printing import command_line, print_json

if TYPE_CHECKING:
    from rushlight.training.callbacks import Callback

_SAMPLE = 200  # tokens written at the end, to be looked at


def train_text(
    context: typer.Context,
    text: text_options.Text = text_options.EMBEDDED,
    minutes: training_options.Minutes = None,
    epochs: training_options.Epochs = None,
    steps: training_options.Steps = None,
    cycles: training_options.Cycles = None,
    cycle_length: training_options.CycleLength = 1,
    cycle_multiplier: training_options.CycleMultiplier = 1,
    tokens: text_options.Tokens = "character",
    lowercase: text_options.Lowercase = False,
    minimum_frequency: text_options.MinimumFrequency = 1,
    encoding: text_options.Encoding = None,
    replace_invalid: text_options.ReplaceInvalid = False,
    valid_fraction: text_options.ValidFraction = 0.2,
    batch_size: text_options.BatchSize = None,
    window: text_options.Window = None,
    fixed_window: text_options.FixedWindow = False,
    same_start: text_options.SameStart = False,
    model: text_options.Model = "auto",
    hidden_size: text_options.HiddenSize = None,
    layers: text_options.Layers = None,
    dropout: text_options.Dropout = None,
    model_option: training_options.ModelOption = None,
    lr: training_options.Lr = None,
    optimizer: training_options.Optimizer = None,
    schedule: training_options.Schedule = None,
    weight_decay: training_options.WeightDecay = None,
    average_weights: training_options.AverageWeights = None,
    clip_gradients: training_options.ClipGradients = None,
    accumulate: training_options.Accumulate = 1,
    early_stopping: training_options.EarlyStopping = None,
    without: training_options.Without = None,
    track: training_options.Track = None,
    seed: options.Seed = 0,
    seeds: training_options.Seeds = 1,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    output: options.Output = None,
    resume: resume_options.Resume = None,
    save_every: resume_options.SaveEvery = None,
    force: resume_options.Force = False,
    auto_batch: resume_options.AutoBatch = False,
    no_report: training_options.NoReport = False,
    as_json: options.Json = False,
) -> None:
    """Train a model of a text, which then writes on.

    TEXT is a file, or a folder of text files that are read one after the other. A fifth of it, from the end, is set
    aside and never trained on: how well the model expects that part is its measure, in nats a character (a nat is
    1.44 bits). Without TEXT, prose from Python's own documentation is used.

    \b
    Examples:
      rushlight train text book.txt --minutes 10
      rushlight train text nietzsche --lowercase --minimum-frequency 3
      rushlight train text letters/ --encoding latin-1 --tokens word
    """
    if seeds > 1:
        from rushlight.app.several_runs import train_over_seeds

        train_over_seeds(context, "text", text)
        return
    rates = options.parse_learning_rates(lr)
    model_options = text_options.model_options(hidden_size, layers, dropout)
    model_options |= training_options.parse_model_options(model_option)
    length = training_options.Length(minutes, epochs, steps, cycles, cycle_length, cycle_multiplier, schedule).checked()

    from rushlight.app.report.kinds import report_trained
    from rushlight.app.runs import Keeping
    from rushlight.app.text_runs import TextSource, train_text_into_run_folder
    from rushlight.data.tokenizers import TOKENIZERS
    from rushlight.runtime.run_folder import RunFolder
    from rushlight.tasks.language_model import MODEL_NAMES, LanguageModel
    from rushlight.training.optimizers import OPTIMIZERS
    from rushlight.training.schedules import SCHEDULES
    from rushlight.training.tracking import check_tracker

    # Before the text is read, which may take a while.
    options.check_name("--tokens", tokens, TOKENIZERS)
    options.check_name("--model", model, MODEL_NAMES)
    options.check_name("--optimizer", optimizer, OPTIMIZERS)
    options.check_name("--schedule", schedule, SCHEDULES)
    if track is not None:
        check_tracker(track)
    source = TextSource.of(
        text,
        tokens=tokens,
        lowercase=lowercase,
        minimum_frequency=minimum_frequency,
        encoding=encoding,
        replace_invalid=replace_invalid,
        valid_fraction=valid_fraction,
    )
    data = source.load(
        batch_size=batch_size, window=window, vary=not fixed_window, shift=not same_start, seed=seed, device=device
    )
    language_model = LanguageModel(
        data,
        model,
        model_options=model_options,
        optimizer=optimizer,
        seed=seed,
        device=device,
        precision=precision,
        without=without or (),
    )

    def fit(run: RunFolder, callbacks: "list[Callback]") -> None:
        own = training_options.chosen_callbacks(average_weights, clip_gradients, early_stopping)
        settings = {"lr": rates, "weight_decay": weight_decay, "accumulate": accumulate}
        with training_options.tracking(track, run, context.params) as trackers:
            length.fit(language_model, run, [*own, *trackers, *callbacks], **settings)

    trained = train_text_into_run_folder(
        source,
        data,
        language_model,
        fit,
        output=output,
        arguments=dict(context.params) | {"minutes": length.minutes},
        keeping=Keeping(("train", "text", "--resume"), save_every, force, auto_batch),
    )
    if trained is None:  # the first process tells the person
        return
    page = None if no_report else report_trained(trained)
    if as_json:
        print_json(trained.to_json() | {"report": page})
        return
    print(trained.table())
    print(f"It writes, for example: {language_model.generate('', _SAMPLE, temperature=0.8, seed=seed)!r}")
    print(f"The model, its history and its pictures: {trained.folder}")
    if page is not None:
        print(f"The report, to open in a browser: {page}")
    print(f"Let it write on from a beginning: {command_line('generate', trained.folder, 'Once upon')}")
