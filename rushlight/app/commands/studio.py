"""`rushlight studio`."""

from pathlib import Path
from typing import Annotated

import typer


def studio(
    run: Annotated[
        Path | None,
        typer.Argument(metavar="RUN", help="A run to begin with, such as runs/images/photos-1.", show_default=False),
    ] = None,
    port: Annotated[
        int, typer.Option("--port", metavar="NUMBER", min=0, max=65535, help="Where to listen; 0 for any free port.")
    ] = 7860,
    host: Annotated[
        str,
        typer.Option(
            "--host",
            metavar="ADDRESS",
            help="The address to listen on. This machine alone can reach the usual one; there are no passwords.",
        ),
    ] = "127.0.0.1",
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Show the first page in your browser.")
    ] = True,
) -> None:
    """Do it in a browser: look at data, train, watch, try, compare.

    Nothing leaves this machine, and no other machine can reach it. A training that you start there goes on when you
    close the page, or end the studio; when you come back, its history is there.

    Needs: pip install 'rushlight[studio]'

    \b
    Examples:
      rushlight studio
      rushlight studio runs/images/photos-1
      rushlight studio --port 8000 --no-browser
    """
    from rushlight.app.studio.server import serve

    serve(run, host, port, browser)
