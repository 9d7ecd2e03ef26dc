"""How results reach stdout."""

import json
from typing import Any

from rushlight.runtime.files import to_json_value


def print_json(value: Any) -> None:
    """Print one JSON object on one line; quantities that could not be measured are `null`."""
    print(json.dumps(to_json_value(value), allow_nan=False))
