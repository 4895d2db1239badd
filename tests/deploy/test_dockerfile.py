"""The Dockerfile, as far as it can be judged without building it."""

import re

from tests.deploy.manifests import DEPLOY

ROOT = DEPLOY.parent


def _lines() -> list[str]:
    joined = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    return [line.strip() for line in joined.splitlines() if line.strip() and not line.startswith("#")]


def _stages() -> dict[str, list[str]]:
    stages: dict[str, list[str]] = {}
    for line in _lines():
        if named := re.fullmatch(r"FROM \S+ AS (\w+)", line):
            stages[named[1]] = []
        elif stages:
            stages[list(stages)[-1]].append(line)
    return stages


def test_the_base_is_pinned() -> None:
    assert "ARG PYTHON=3.11.14" in _lines()
    assert "FROM python:${PYTHON}-slim-bookworm AS base" in _lines()
    assert not any(":latest" in line for line in _lines())


def test_raylab_is_what_is_built_unless_another_stage_is_named() -> None:
    assert list(_stages()) == ["base", "mlflow", "raylab"]


def test_nothing_runs_as_root() -> None:
    for name in ("mlflow", "raylab"):
        users = [i for i, line in enumerate(_stages()[name]) if line.startswith("USER ")]
        assert [_stages()[name][i] for i in users] == ["USER 1000:1000"]
        assert not any(line.startswith("RUN ") for line in _stages()[name][users[0] :])


def test_what_is_copied_is_there_and_let_in() -> None:
    let_in = [line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = {source for line in _lines() if line.startswith("COPY ") for source in line.split()[1:-1]}
    assert copied == set(let_in)
    assert all((ROOT / source).exists() for source in copied)


def test_every_package_is_constrained() -> None:
    installs = [found for line in _lines() for found in re.findall(r"pip install ([^;&]+)", line)]
    assert len(installs) == 5
    assert all("--constraint /src/constraints.txt" in found or "--no-deps /src" in found for found in installs)


def test_the_readme_builds_what_the_manifests_name() -> None:
    readme = (DEPLOY / "kubernetes" / "README.md").read_text(encoding="utf-8")
    kustomization = (DEPLOY / "kubernetes" / "kustomization.yaml").read_text(encoding="utf-8")
    for name, tag in re.findall(r"newName: (\S+), newTag: (\S+)}", kustomization):
        assert f"-t {name}:{tag} " in readme
        assert f"docker push {name}:{tag}\n" in readme


def test_versions_are_one() -> None:
    from raylab import __version__

    for path in (DEPLOY / "Dockerfile", DEPLOY / "kubernetes" / "kustomization.yaml", DEPLOY / "kubernetes" / "README.md"):
        found = set(re.findall(r"raylab(?:-mlflow)?(?::|, newTag: )(\d+\.\d+\.\d+)", path.read_text(encoding="utf-8")))
        assert found == {__version__}, path
