"""`rushlight ablate images` and `rushlight ablate text`."""

from pathlib import Path
from typing import Any

import typer

from rushlight.app import options, study_options, text_options
from rushlight.app.printing import print_json, print_table
from rushlight.app.study_options import Also, Baseline, LeaveOneOut, MinutesEach, RetryFailed, Seeds, Storage, Vary

_OWN = ("vary", "also", "leave_one_out", "baseline", "seeds", "storage", "retry_failed")


def ablate_images(
    context: typer.Context,
    images: options.Images,
    vary: Vary = None,
    also: Also = None,
    leave_one_out: LeaveOneOut = False,
    baseline: Baseline = None,
    seeds: Seeds = 5,
    minutes_each: MinutesEach = None,
    seed: study_options.FirstSeed = 0,
    output: study_options.Output = None,
    storage: Storage = None,
    retry_failed: RetryFailed = False,
    as_json: options.Json = False,
) -> None:
    """Which part matters? Train variations over several seeds, and say which are better.

    Every variation is trained with the same seeds and measured on the same validation images, each training being that
    of 'rushlight train images'. A variation is called better or worse only where the seeds leave no doubt of it. Any
    option of 'rushlight train images' may be given too, and then holds for all of them. Interrupted, the same command
    goes on where it was; given again with the same --output at the same time, it helps.

    \b
    Examples:
      rushlight ablate images photos/ --vary lr=0.001,0.003 --minutes-each 2
      rushlight ablate images cifar10 --leave-one-out --epochs 8 --seeds 3
      rushlight ablate images cifar10 --model batch_norm_net --epochs 6 \\
          --vary norm=after_relu,before_relu,none
    """
    _ablate(context, "images", images)


def ablate_text(
    context: typer.Context,
    text: text_options.Text = text_options.EMBEDDED,
    vary: Vary = None,
    also: Also = None,
    leave_one_out: LeaveOneOut = False,
    baseline: Baseline = None,
    seeds: Seeds = 5,
    minutes_each: MinutesEach = None,
    seed: study_options.FirstSeed = 0,
    output: study_options.Output = None,
    storage: Storage = None,
    retry_failed: RetryFailed = False,
    as_json: options.Json = False,
) -> None:
    """Which part matters? Train variations of a model of text over several seeds.

    As 'rushlight ablate images', measured in nats a token of the part of the text that is not trained on; less is
    better. 'cell' is another name for --model.

    \b
    Examples:
      rushlight ablate text book.txt --vary cell=rnn,gru,lstm --minutes-each 2
      rushlight ablate text nietzsche --lowercase --epochs 4 --seeds 3 \\
          --vary hidden_size=128,256 --vary window=8,32,128
    """
    _ablate(context, "text", text)


def _ablate(context: typer.Context, kind: str, data: str) -> None:
    given: dict[str, Any] = context.params
    fixed = study_options.fixed_settings(context, _OWN)

    from rushlight.app.study_runs import StudyRequest, run_study

    output: Path | None = given["output"]
    study = run_study(
        StudyRequest(
            kind,
            data,
            fixed,
            vary=given["vary"] or [],
            also=given["also"] or [],
            leave_one_out=given["leave_one_out"],
            baseline=given["baseline"] or [],
            seeds=given["seeds"],
            seed=given["seed"],
            output=output,
            storage=given["storage"],
            retry_failed=given["retry_failed"],
        )
    )
    if given["as_json"]:
        print_json({"study": str(study.folder), "results": study.result.to_json()})
        return
    print_table(study.result.columns, study.result.cells())
    print(study.result.note())
    print(f"Table, values and picture: {study.folder}")
