"""What the deployment files hold, as tests ask for it."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
Document = dict[str, Any]


def documents(path: Path) -> list[Document]:
    """The YAML documents of a file."""
    return [document for document in yaml.safe_load_all(path.read_text(encoding="utf-8")) if document]


def all_documents() -> list[Document]:
    """Every Kubernetes object of deploy/kubernetes."""
    return [d for path in sorted(KUBERNETES.glob("*.yaml")) if path.name != "kustomization.yaml" for d in documents(path)]


def walk(value: Any, kind: str = "") -> Iterator[tuple[str, Any]]:
    """Every (key, value) of nested mappings, at any depth."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key, inner
            yield from walk(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from walk(inner, kind)


def pod_templates() -> list[tuple[str, Document]]:
    """(object/part, template) of everything that makes pods."""
    found = []
    for document in all_documents():
        name = f"{document['kind']} {document['metadata']['name']}"
        found += [(name, inner) for key, inner in walk(document) if key == "template" and "spec" in inner]
    return found


def commands(text: str) -> list[list[str]]:
    """The raylab command lines in a text: `raylab ...` and `python -m raylab.COMMAND ...`, as arguments to `raylab`."""
    pattern = (
        r"(?:python -m raylab\.|(?:(?<=[\s'`])|^)raylab )((?:search|submit|run|doctor|ui|show|report|list|export)\b[^\n'`]*)"
    )
    return [shlex.split(found, comments=True) for found in re.findall(pattern, text, flags=re.MULTILINE)]
