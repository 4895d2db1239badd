"""The Kubernetes manifests: what one names, another must define; and nothing in them is open, unpinned or a default.

With the folder of KubeRay's own definitions (ray.io_rayclusters.yaml, ray.io_rayjobs.yaml) in RAYLAB_KUBERAY_CRDS, every field is
held to their schema as well.
"""

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.crd import FIELDS, Schemas, condense
from tests.deploy.manifests import KUBERNETES, Document, all_documents, documents, pod_templates, walk

DOCUMENTS = all_documents()
TEMPLATES = [pytest.param(template, id=name) for name, template in pod_templates()]
TOKENS = re.compile(r"password|secret_access_key|token", re.IGNORECASE)
GIVEN_SECRETS = {"mlflow-database", "mlflow-artifacts", "huggingface"}  # a person makes them; the README says how


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
    called = set(re.findall(r"(?:http|postgresql)://(?:\w+@)?([\w-]+):(\d+)", _text()))
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


def test_the_search_goes_to_the_cluster_and_writes_on_its_volume() -> None:
    (job,), (cluster,) = of_kind("RayJob"), of_kind("RayCluster")
    assert job["spec"]["clusterSelector"] == {"ray.io/cluster": cluster["metadata"]["name"]}
    assert job["metadata"]["namespace"] == kustomization()["namespace"] == next(iter(names("Namespace")))
    groups = [cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]]
    for group in groups:
        (container,) = group["template"]["spec"]["containers"]
        assert {"name": "results", "mountPath": "/results"} in container["volumeMounts"]
    assert "--storage /results/" in job["spec"]["entrypoint"]
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
    assert {inner["name"] for key, inner in walk(built) if key == "configMapRef"} == generated
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


@pytest.mark.parametrize("document", [d for d in DOCUMENTS if d["apiVersion"] == "ray.io/v1"], ids=lambda d: d["kind"])
def test_ray_objects_fit_kuberay(schemas: Schemas, document: Document) -> None:
    assert schemas.mistakes(document) == []


@pytest.mark.parametrize("template", TEMPLATES)
def test_pods_fit_kubernetes(schemas: Schemas, template: Document) -> None:
    """The schema of a RayCluster holds that of any pod."""
    assert schemas.pod_mistakes(template) == []


@pytest.mark.parametrize("path", [("spec",), ("spec", "headGroupSpec"), ("spec", "autoscalerOptions")])
def test_a_typo_does_not_fit(schemas: Schemas, path: tuple[str, ...]) -> None:
    (cluster,) = documents(KUBERNETES / "ray-cluster.yaml")
    part: Any = cluster
    for key in path:
        part = part[key]
    part["idleTimeoutSecond"] = 1
    (mistake,) = schemas.mistakes(cluster)
    assert "idleTimeoutSecond" in mistake


def test_a_typo_in_a_pod_does_not_fit(schemas: Schemas) -> None:
    (_, deployment) = documents(KUBERNETES / "mlflow.yaml")
    template = deployment["spec"]["template"]
    template["spec"]["containers"][0]["livenesProbe"] = {}
    (mistake,) = schemas.pod_mistakes(template)
    assert "livenesProbe" in mistake
