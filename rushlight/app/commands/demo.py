"""`rushlight demo`."""

from typing import Annotated

import typer

from rushlight.app import options
from rushlight.app.printing import command_line, print_json


def demo(
    minutes: Annotated[
        float,
        typer.Option(
            "--minutes",
            metavar="NUMBER",
            callback=options.positive,
            help="How long to train.",
            rich_help_panel="Time",
        ),
    ] = 0.75,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    output: options.Output = None,
    as_json: options.Json = False,
) -> None:
    """Train a first model: handwritten digits, in about a minute.

    The images come along, so nothing is downloaded. The model starts from nothing and learns from about two
    thirds of them. The rest plays no part in the training: that is where its accuracy is measured, once while
    choices are still open (validation) and once at the very end (test). Model, pictures and a report are left
    in a run folder.

    \b
    Example:
      rushlight demo
    """
    from rushlight.app.demo import run_demo, sample_files

    found = run_demo(minutes, seed, device, precision, output)
    if as_json:
        print_json(found.to_json())
        return
    trained = found.trained
    run = trained.folder
    print("Accuracy on images that played no part in the training:")
    if trained.evaluation is not None:
        print(f"  validation  {trained.evaluation.accuracy.percent()}")
    print(f"  test        {found.test.accuracy.percent()}")
    print(f"The model, its history and its pictures: {run}")
    print("  report.html     all of it on one page, to open in a browser")
    print("  curves.png      how it learned")
    print("  confusion.png   which digit it takes for which")
    print("  most_wrong.png  its surest mistakes")
    print("\nWhat to type next:")
    print(f"  {command_line('evaluate', run)}")
    print(f"  {command_line('predict', run, next(iter(sample_files(trained)), 'IMAGE'))}")
    print(f"  {command_line('train', 'images', 'FOLDER', '--minutes', 10)}")
    print("FOLDER holds one folder of your images for each class.")
    print(f"\nOpen the report in a browser: {found.report}")
