"""One machine, judged by its facts: Python, packages, shared memory, GPUs; and the tracking server as seen from here."""

import importlib.metadata
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from raylab.cluster.diagnosis.finding import HERE, Finding
from raylab.errors import UserError
from raylab.redaction import without_secrets

LEAST_SHARED_BYTES = 1_000_000_000  # under it Ray keeps objects on disk, and says so at length


def requirements() -> list[Requirement]:
    """What the installed raylab says it needs; nothing if it runs from a folder without being installed."""
    try:
        declared = importlib.metadata.requires("raylab") or []
    except importlib.metadata.PackageNotFoundError:
        return []
    found = [Requirement(text) for text in declared]
    return [need for need in found if need.marker is None or need.marker.evaluate({"extra": ""})]


def python(version: str) -> Finding:
    """Is it a Python that raylab takes?"""
    try:
        wanted = importlib.metadata.metadata("raylab")["Requires-Python"] or ""
    except importlib.metadata.PackageNotFoundError:
        wanted = ""
    fits = SpecifierSet(wanted).contains(version, prereleases=True)
    advice = "" if fits else f"raylab needs Python {wanted}: make another environment with one of those."
    return Finding(where=HERE, check="python", state="ok" if fits else "fail", found=version, advice=advice)


def packages(versions: Mapping[str, str | None], needs: Sequence[Requirement]) -> Finding:
    """Is everything here that raylab needs, in a version it takes?"""
    if not needs:
        advice = "Install it, so that its packages are known: pip install -c constraints.txt -e ."
        return Finding(where=HERE, check="packages", state="warn", found="raylab is not installed", advice=advice)
    wrong = unmet(versions, needs)
    told = ", ".join(f"{name} {versions[name]}" for name in ("ray", "torch", "transformers", "mlflow") if versions.get(name))
    if not wrong:
        return Finding(where=HERE, check="packages", state="ok", found=f"all {len(needs)} as raylab needs them: {told}")
    advice = f"pip install {' '.join(repr(str(need)) for need in needs if need.name in wrong)}"
    return Finding(where=HERE, check="packages", state="fail", found=listed(wrong), advice=advice)


def unmet(versions: Mapping[str, str | None], needs: Sequence[Requirement]) -> dict[str, str]:
    """The packages that are missing or of a version that raylab does not take, with what there is instead."""
    return {
        need.name: versions.get(need.name) or "missing"
        for need in needs
        if (there := versions.get(need.name)) is None or not need.specifier.contains(there, prereleases=True)
    }


def shared_memory(facts: Mapping[str, Any], where: str = HERE) -> Finding:
    """Containers often get 64 MB of it, which is too little for Ray's object store."""
    size = facts["shared_memory_bytes"]
    enough = size is None or size >= LEAST_SHARED_BYTES
    advice = "" if enough else "Ray will use the disk instead. In a container, start it with --shm-size=2g or more."
    found = "not a file system here" if size is None else f"{size / 1e9:.1f} GB"
    return Finding(where=where, check="shared memory", state="ok" if enough else "warn", found=found, advice=advice)


def gpus(facts: Mapping[str, Any], where: str = HERE) -> Finding:
    """Can PyTorch use the GPUs that there are?"""
    there, usable = facts["gpus"], facts["torch_gpus"]
    if not there:
        return Finding(where=where, check="gpus", state="ok", found="none; models are trained on the CPU")
    found = f"{len(there)}: {', '.join(sorted(set(there)))}"
    if usable == len(there):
        return Finding(where=where, check="gpus", state="ok", found=found)
    advice = "Install a PyTorch built for CUDA, and a driver at least as new as its CUDA: https://pytorch.org/get-started."
    return Finding(where=where, check="gpus", state="warn", found=f"{found}; PyTorch can use {usable}", advice=advice)


def tracking(uri: str) -> Finding:
    """Does the store answer? A password in its address is told nobody."""
    from raylab.cluster.tracking import check_tracking

    file, shown = Path(uri.removeprefix("sqlite:///")), without_secrets(uri)
    if uri.startswith("sqlite:///") and not file.exists():
        return Finding(where=HERE, check="tracking", state="ok", found=f"{file}, which the first search makes")
    begun = time.monotonic()
    try:
        check_tracking(uri)
    except UserError as error:
        found, _, advice = str(error).replace(uri, shown).partition("). ")
        return Finding(where=HERE, check="tracking", state="fail", found=f"{found})" if advice else found, advice=advice)
    return Finding(where=HERE, check="tracking", state="ok", found=f"{shown} answered in {time.monotonic() - begun:.1f} s")


def listed(versions: Mapping[str, str]) -> str:
    """Packages in a sentence."""
    return ", ".join(f"{name} {version}" for name, version in versions.items())
