"""`--set FIELD=VALUE`, given once or several times: the fields of a plugin or of how something is learned."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from raylab.errors import UserError, unknown


def fields_set(settings: Sequence[str], of: type, what: str, example: str) -> dict[str, Any]:
    """The fields of the dataclass `of` that the settings name. Values are JSON, or text where they are none.

    what: whose fields they are, for messages. example: a setting that would do.
    """
    known, fields = [field.name for field in dataclasses.fields(of)], dict[str, Any]()
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise UserError(f"--set {setting!r} is not of the form FIELD=VALUE, e.g. --set {example}.")
        if name not in known:
            raise unknown(f"field of {what}", name, known)
        fields[name] = _value(value)
    return fields


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
