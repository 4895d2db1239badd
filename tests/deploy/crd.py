"""Kubernetes resource definitions as JSON schemas that refuse what they do not know.

Kubernetes prunes unknown fields silently, so a definition's own schema lets a typo pass. Here every object with declared
properties takes no others, unless the definition says that it keeps unknown ones.

`kuberay.json` beside this file holds the fields of KubeRay's RayCluster and RayJob, and nothing else of its definitions: names,
types and which are required, with parts that occur often kept once. `python -m tests.deploy.crd FOLDER` writes it anew
from a folder of KubeRay's own definitions (*.yaml).
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

Schema = dict[str, Any]
FIELDS = Path(__file__).with_name("kuberay.json")
VERSION = "v1"
_PLAIN = ("enum", "default", "required", "example")  # their values are data, not schemas
_KEPT = {
    "type", "properties", "items", "required", "enum", "additionalProperties", "x-kubernetes-int-or-string",
    "x-kubernetes-preserve-unknown-fields",
}  # fmt: skip
_SHARED_FROM = 120  # characters: a part of a schema that is longer is kept once


class Schemas:
    """Definitions by group, version and kind: those below a folder (files *.yaml), or the fields that are kept here."""

    def __init__(self, folder: Path | None = None) -> None:
        self._schemas = dict(_versions(_definitions(folder))) if folder else _kept()

    def mistakes(self, document: Schema) -> list[str]:
        """What is wrong with an object, each with its place; an empty list if nothing is."""
        return _mistakes(self._schemas[document["apiVersion"], document["kind"]], document)

    def pod_mistakes(self, template: Schema) -> list[str]:
        """What is wrong with a pod template, whatever it is part of."""
        head = self._schemas["ray.io/v1", "RayCluster"]["properties"]["spec"]["properties"]["headGroupSpec"]
        return _mistakes(head["properties"]["template"], template)


def _definitions(folder: Path) -> list[Schema]:
    return [yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.yaml"))]


def _versions(definitions: list[Schema]) -> list[tuple[tuple[str, str], Schema]]:
    return [
        ((f"{spec['group']}/{version['name']}", spec["names"]["kind"]), _strict(version["schema"]["openAPIV3Schema"], top=True))
        for spec in (definition["spec"] for definition in definitions)
        for version in spec["versions"]
    ]


def _kept() -> dict[tuple[str, str], Schema]:
    kept = json.loads(FIELDS.read_text(encoding="utf-8"))
    return {(row["version"], row["kind"]): _strict(_whole(row["schema"], kept["parts"]), top=True) for row in kept["kinds"]}


def _whole(schema: Any, parts: Schema) -> Any:
    """With every shared part in its places."""
    if isinstance(schema, list):
        return [_whole(inner, parts) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    if set(schema) == {"part"}:
        return _whole(parts[schema["part"]], parts)
    return {key: _whole(inner, parts) for key, inner in schema.items()}


def _fields(schema: Schema) -> Schema:
    """A schema without its prose and its finer rules."""
    kept = {key: inner for key, inner in schema.items() if key in _KEPT}
    for key in ("items", "additionalProperties"):
        if isinstance(kept.get(key), dict):
            kept[key] = _fields(kept[key])
    if "properties" in kept:
        kept["properties"] = {name: _fields(inner) for name, inner in kept["properties"].items()}
    return kept


def _shared(schema: Any, parts: Schema) -> Any:
    """With every part that is long replaced by its name in `parts`."""
    if not isinstance(schema, dict):
        return schema
    made = {key: _shared(inner, parts) for key, inner in schema.items()}
    text = json.dumps(made, sort_keys=True)
    if len(text) < _SHARED_FROM:
        return made
    name = hashlib.sha256(text.encode()).hexdigest()[:8]
    parts[name] = made
    return {"part": name}


def condense(folder: Path) -> Schema:
    """The fields of the definitions in a folder."""
    parts: Schema = {}
    kinds = [
        {
            "version": f"{spec['group']}/{version['name']}",
            "kind": spec["names"]["kind"],
            "schema": _shared(_fields(version["schema"]["openAPIV3Schema"]), parts),
        }
        for spec in (definition["spec"] for definition in _definitions(folder))
        for version in spec["versions"]
        if version["name"] == VERSION
    ]
    return {"kinds": kinds, "parts": dict(sorted(parts.items()))}


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


if __name__ == "__main__":
    FIELDS.write_text(json.dumps(condense(Path(sys.argv[1])), indent=0, separators=(",", ":")) + "\n", encoding="utf-8")
