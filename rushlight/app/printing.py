"""How results reach stdout."""

import json
import shlex
import shutil
import sys
from typing import Any

from rushlight.runtime.files import to_json_value


def print_json(value: Any) -> None:
    """Print one JSON object on one line; quantities that could not be measured are `null`."""
    print(json.dumps(to_json_value(value), allow_nan=False))


def command_line(*words: object) -> str:
    """What a person can type or paste: `rushlight evaluate 'my run'`.

    The program stands there by its name, or by its path where the shell would not find it.
    """
    program = "rushlight" if shutil.which("rushlight") else sys.argv[0]
    return shlex.join([program, *map(str, words)])
