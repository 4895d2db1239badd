"""A Kubernetes resource definition as a JSON schema that refuses what it does not know.

Kubernetes prunes unknown fields silently, so a definition's own schema lets a typo pass. Here every object with declared
properties takes no others, unless the definition says that it keeps unknown ones.
"""

from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

Schema = dict[str, Any]
_PLAIN = ("enum", "default", "required", "example")  # their values are data, not schemas


class Schemas:
    """The definitions below a folder (files *.yaml), each by group, version and kind."""

    def __init__(self, folder: Path) -> None:
        definitions = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.yaml"))]
        self._schemas = {key: schema for definition in definitions for key, schema in _versions(definition)}

    def mistakes(self, document: Schema) -> list[str]:
        """What is wrong with an object, each with its place; an empty list if nothing is."""
        return _mistakes(self._schemas[document["apiVersion"], document["kind"]], document)

    def pod_mistakes(self, template: Schema) -> list[str]:
        """What is wrong with a pod template, whatever it is part of."""
        head = self._schemas["ray.io/v1", "RayCluster"]["properties"]["spec"]["properties"]["headGroupSpec"]
        return _mistakes(head["properties"]["template"], template)


def _versions(definition: Schema) -> list[tuple[tuple[str, str], Schema]]:
    spec = definition["spec"]
    return [
        ((f"{spec['group']}/{version['name']}", spec["names"]["kind"]), _strict(version["schema"]["openAPIV3Schema"], top=True))
        for version in spec["versions"]
    ]


def _strict(schema: Any, top: bool = False) -> Any:
    if isinstance(schema, list):
        return [_strict(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: inner if key in _PLAIN else _strict(inner) for key, inner in schema.items() if key != "format"}
    if made.pop("x-kubernetes-int-or-string", False):
        made.pop("type", None)
        made["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    if isinstance(made.get("properties"), dict) and not made.get("x-kubernetes-preserve-unknown-fields"):
        made.setdefault("additionalProperties", False)
    if top:
        made["properties"]["metadata"] = {"type": "object"}  # the definition leaves it to Kubernetes
    return made


def _mistakes(schema: Schema, document: Schema) -> list[str]:
    found = Draft202012Validator(schema).iter_errors(document)
    return [f"{'/'.join(map(str, error.absolute_path))}: {error.message}" for error in found]
