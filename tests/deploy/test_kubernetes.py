"""The Kubernetes manifests: what one names, another must define; and nothing in them is open, unpinned or a default.

Every field is held to the schemas of Kubernetes and of KubeRay. `kuberay.json` keeps the fields of the latter; with a folder of
its definitions (ray.io_rayclusters.yaml, ray.io_rayjobs.yaml) in RAYLAB_KUBERAY_CRDS, they are held to those.
"""

import copy
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from tests.deploy.crd import FIELDS, Schemas, condense
from tests.deploy.manifests import KUBERNETES, Document, all_documents, documents, pod_templates, walk

DOCUMENTS = all_documents()
TEMPLATES = [pytest.param(template, id=name) for name, template in pod_templates()]
TOKENS = re.compile(r"password|secret_access_key|token", re.IGNORECASE)
GIVEN_SECRETS = {"mlflow-database", "bucket", "huggingface"}  # a person makes them; the README says how

KUBERNETES_VERSION = "1.33"
# Maps whose keys are a person's own: a typo in them is no field that is unknown
FREE = {"labels", "annotations", "matchLabels", "selector", "requests", "limits", "rayStartParams", "clusterSelector"}


def of_kind(kind: str) -> list[Document]:
    return [document for document in DOCUMENTS if document["kind"] == kind]


def names(kind: str) -> set[str]:
    return {document["metadata"]["name"] for document in of_kind(kind)}


def containers(template: Document) -> list[Document]:
    return [*template["spec"].get("initContainers", []), *template["spec"]["containers"]]


def kustomization() -> Document:
    (found,) = documents(KUBERNETES / "kustomization.yaml")
    return found


def labels_of_pods() -> list[dict[str, str]]:
    """Of ours, and those that KubeRay gives the pods of a cluster."""
    ours = [template.get("metadata", {}).get("labels", {}) for _, template in pod_templates()]
    return ours + [{"ray.io/cluster": name} for name in names("RayCluster")]


# --- what one names, another defines ----------------------------------------------------------------------------


def test_every_file_is_a_resource_or_the_search() -> None:
    files = {path.name for path in KUBERNETES.glob("*.yaml")}
    assert set(kustomization()["resources"]) == files - {"kustomization.yaml", "search.yaml"}


def test_selectors_of_services_and_workloads_match_their_pods() -> None:
    for service in of_kind("Service"):
        assert any(service["spec"]["selector"].items() <= labels.items() for labels in labels_of_pods())
    for workload in of_kind("Deployment") + of_kind("StatefulSet"):
        labels = workload["spec"]["template"]["metadata"]["labels"]
        assert workload["spec"]["selector"]["matchLabels"].items() <= labels.items()


def test_selectors_of_policies_match_pods() -> None:
    for policy in of_kind("NetworkPolicy"):
        for key, selector in walk(policy):
            if key == "podSelector" and selector:
                assert any(selector["matchLabels"].items() <= labels.items() for labels in labels_of_pods()), policy["metadata"]


@pytest.mark.parametrize("template", TEMPLATES)
def test_ports_that_are_named_are_open(template: Document) -> None:
    for container in containers(template):
        ports = {port["name"] for port in container.get("ports", [])}
        for key, probe in walk(container):
            if key == "httpGet":
                assert probe["port"] in ports


def test_ports_of_services_and_policies_are_those_of_pods() -> None:
    every = [port for _, template in pod_templates() for c in containers(template) for port in c.get("ports", [])]
    for service in of_kind("Service"):
        for port in service["spec"]["ports"]:
            assert {"name": port["targetPort"], "containerPort": port["port"]} in every
    inward = [rule for policy in of_kind("NetworkPolicy") for rule in policy["spec"].get("ingress", [])]
    allowed = {port["port"] for rule in inward for port in rule.get("ports", [])}
    assert allowed <= {port["containerPort"] for port in every}


def test_what_a_service_is_called_by_exists() -> None:
    called = set(re.findall(r"(?:http|postgresql\+psycopg2)://(?:\w+@)?([\w-]+):(\d+)", _text()))
    offered = {(s["metadata"]["name"], str(port["port"])) for s in of_kind("Service") for port in s["spec"]["ports"]}
    assert called == offered == {("mlflow", "5000"), ("postgres", "5432")}


@pytest.mark.parametrize("template", TEMPLATES)
def test_mounts_volumes_and_claims_exist(template: Document) -> None:
    claimed = {c["metadata"]["name"] for s in of_kind("StatefulSet") for c in s["spec"].get("volumeClaimTemplates", [])}
    volumes = {volume["name"]: volume for volume in template["spec"].get("volumes", [])}
    for container in containers(template):
        assert {mount["name"] for mount in container.get("volumeMounts", [])} <= volumes.keys() | claimed
    claims = {v["persistentVolumeClaim"]["claimName"] for v in volumes.values() if "persistentVolumeClaim" in v}
    assert claims <= names("PersistentVolumeClaim")


def test_secrets_are_those_that_the_readme_makes() -> None:
    readme = (KUBERNETES / "README.md").read_text(encoding="utf-8")
    named = {inner["name"] for key, inner in walk(DOCUMENTS) if key in ("secretKeyRef", "secretRef")}
    assert named == GIVEN_SECRETS
    assert set(re.findall(r"create secret generic ([\w-]+) ", readme)) == GIVEN_SECRETS
    assert not of_kind("Secret")


def test_config_maps_are_generated() -> None:
    named = {inner["name"] for key, inner in walk(DOCUMENTS) if key in ("configMapKeyRef", "configMapRef")}
    assert named == {generated["name"] for generated in kustomization()["configMapGenerator"]}
    assert all((KUBERNETES / env).is_file() for g in kustomization()["configMapGenerator"] for env in g["envs"])


def test_the_search_goes_to_the_cluster_which_may_use_the_bucket() -> None:
    (job,), (cluster,) = of_kind("RayJob"), of_kind("RayCluster")
    assert job["spec"]["clusterSelector"] == {"ray.io/cluster": cluster["metadata"]["name"]}
    assert job["metadata"]["namespace"] == kustomization()["namespace"] == next(iter(names("Namespace")))
    groups = [cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]]
    for group in groups:
        (container,) = group["template"]["spec"]["containers"]
        assert {"secretRef": {"name": "bucket"}} in container["envFrom"]
    assert "--storage s3://REPLACE/" in job["spec"]["entrypoint"]
    lanes = int(re.findall(r"--lanes (\d+)", job["spec"]["entrypoint"])[0])
    assert lanes <= next(g["maxReplicas"] for g in groups[1:] if g["groupName"] == "gpu")


# --- nothing is open, unpinned or a default ---------------------------------------------------------------------


@pytest.mark.parametrize("template", TEMPLATES)
def test_pods_run_without_root_and_privileges(template: Document) -> None:
    pod = template["spec"]["securityContext"]
    assert pod["runAsNonRoot"] and pod["runAsUser"] > 0
    assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in containers(template):
        own = container["securityContext"]
        assert own["allowPrivilegeEscalation"] is False and own["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize("template", TEMPLATES)
def test_pods_ask_for_what_they_use(template: Document) -> None:
    for container in containers(template):
        asked, limits = container["resources"]["requests"], container["resources"]["limits"]
        assert {"cpu", "memory"} <= asked.keys() and {"cpu", "memory"} <= limits.keys()
        if "nvidia.com/gpu" in limits:
            assert asked["nvidia.com/gpu"] == limits["nvidia.com/gpu"]


def test_our_own_servers_are_probed() -> None:
    for workload in of_kind("Deployment") + of_kind("StatefulSet"):
        for container in containers(workload["spec"]["template"]):
            assert {"startupProbe", "readinessProbe", "livenessProbe"} <= container.keys()


@pytest.mark.parametrize("template", TEMPLATES)
def test_images_are_pinned(template: Document) -> None:
    ours = {image["name"]: image["newTag"] for image in kustomization()["images"]}
    for container in containers(template):
        name, _, tag = container["image"].partition(":")
        assert re.match(r"\d+\.\d+", str(ours.get(name, tag)))


def test_ray_is_the_tested_one_and_asks_for_a_token() -> None:
    (cluster,) = of_kind("RayCluster")
    assert cluster["spec"]["rayVersion"] == importlib.metadata.version("ray")
    assert cluster["spec"]["authOptions"] == {"mode": "token"}


def test_no_password_is_written_down() -> None:
    for key, value in walk(DOCUMENTS):
        if key == "env":
            literal = {variable["name"] for variable in value if "value" in variable}
            assert not any(TOKENS.search(name) for name in literal)
    settings = (KUBERNETES / "settings.env").read_text(encoding="utf-8")
    assert not any(TOKENS.search(line) for line in settings.splitlines())
    assert not re.search(r"://\w+:[^@/\s]+@", _text())


def test_nothing_goes_in_or_out_unless_it_is_named() -> None:
    policies = {policy["metadata"]["name"]: policy["spec"] for policy in of_kind("NetworkPolicy")}
    assert policies["deny-all"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    blocks = [inner for key, inner in walk(list(policies.values())) if key == "ipBlock"]
    assert blocks and all("169.254.0.0/16" in block["except"] for block in blocks)
    assert not any(service["spec"].get("type") for service in of_kind("Service"))  # reachable within the cluster alone


def _text() -> str:
    """The manifests and their settings, without comments."""
    files = [*KUBERNETES.glob("*.yaml"), KUBERNETES / "settings.env"]
    return "\n".join(re.sub(r"(^|\s)#.*", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE) for path in files)


# --- by the tools of Kubernetes ---------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_kustomize_puts_it_together() -> None:
    done = subprocess.run(["kubectl", "kustomize", str(KUBERNETES)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    built = list(yaml.safe_load_all(done.stdout))
    assert len(built) == len(DOCUMENTS)  # the search is not among them, the generated ConfigMap is
    images = {inner for key, inner in walk(built) if key == "image"}
    assert images == {
        "postgres:17.7-bookworm",
        "registry.example.com/raylab:0.1.0-cuda",
        "registry.example.com/raylab-mlflow:0.1.0",
    }
    generated = {d["metadata"]["name"] for d in built if d["kind"] == "ConfigMap"}
    assert {inner["name"] for key, inner in walk(built) if key in ("configMapRef", "configMapKeyRef")} == generated
    assert all(d["metadata"].get("namespace", "raylab") == "raylab" for d in built)


@pytest.fixture(scope="module")
def schemas() -> Schemas:
    """KubeRay's own definitions where RAYLAB_KUBERAY_CRDS names their folder, or else the fields of them that are kept here."""
    folder = os.environ.get("RAYLAB_KUBERAY_CRDS")
    return Schemas(Path(folder)) if folder else Schemas()


def test_the_fields_that_are_kept_are_kuberays() -> None:
    folder = os.environ.get("RAYLAB_KUBERAY_CRDS")
    if not folder:
        pytest.skip("RAYLAB_KUBERAY_CRDS names no folder with KubeRay's definitions")
    assert condense(Path(folder)) == json.loads(FIELDS.read_text(encoding="utf-8"))


def mistakes(document: Document, schemas: Schemas) -> list[str]:
    """What KubeRay, or Kubernetes itself, would not know or not take."""
    if document["apiVersion"] == "ray.io/v1":
        return [
            *schemas.mistakes(document),
            *_kubernetes({"apiVersion": "v1", "kind": "ConfigMap", "metadata": document.get("metadata", {})}),
        ]
    return _kubernetes(document)


def _kubernetes(document: Document) -> list[str]:
    try:
        kubernetes_validate.validate(document, KUBERNETES_VERSION, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [error.message]
    except kubernetes_validate.SchemaNotFoundError as error:
        return [str(error)]
    return []


OBJECTS = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: f"{d['kind']}-{d['metadata']['name']}")


@OBJECTS
def test_objects_fit_their_schemas(schemas: Schemas, document: Document) -> None:
    assert mistakes(document, schemas) == []


@OBJECTS
def test_a_typo_in_any_field_does_not_fit(schemas: Schemas, document: Document) -> None:
    """Every field of every object but those of maps whose names are free, one after another."""
    for path in set(_fields(document)) - {("apiVersion",), ("kind",)}:  # those name the schema
        broken = copy.deepcopy(document)
        part: Any = broken
        for key in path[:-1]:
            part = part[key]
        part[f"{path[-1]}x"] = part.pop(path[-1])
        assert mistakes(broken, schemas), path


def _fields(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every field, at any depth."""
    if isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _fields(inner, (*path, index))
    elif isinstance(value, dict) and not (path and path[-1] in FREE and not {"matchLabels"} & value.keys()):
        for key, inner in value.items():
            yield (*path, key)
            yield from _fields(inner, (*path, key))
