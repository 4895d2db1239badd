"""The configurations for `ray up`, checked by Ray itself without a cloud, and by what raylab needs."""

import importlib.metadata
import re
from pathlib import Path
from typing import Any

import cfnlint.api
import jsonschema
import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator
from ray.autoscaler._private.util import prepare_config, validate_config

from tests.deploy.manifests import DEPLOY, documents

FILES = (DEPLOY / "aws.yaml", DEPLOY / "gcp.yaml")
ACCOUNT = DEPLOY / "aws-account.yaml"
ROOT = DEPLOY.parent


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def config(request: pytest.FixtureRequest) -> dict[str, Any]:
    (found,) = documents(request.param)
    return found


def check(config: dict[str, Any]) -> dict[str, Any]:
    prepared = prepare_config(config)
    validate_config(prepared)
    return prepared


def test_ray_takes_it(config: dict[str, Any]) -> None:
    prepared = check(config)
    gpu = prepared["available_node_types"]["gpu"]
    assert (gpu["min_workers"], gpu["max_workers"]) == (0, 4)
    assert gpu["resources"]["GPU"] == 1
    assert prepared["idle_timeout_minutes"] == 10


@pytest.mark.parametrize(
    ("where", "typo"),
    [((), "idle_timeout_minute"), (("available_node_types", "gpu"), "max_worker"), (("auth",), "ssh_usr")],
)
def test_ray_refuses_a_typo(config: dict[str, Any], where: tuple[str, ...], typo: str) -> None:
    part = config
    for key in where:
        part = part[key]
    part[typo] = 1
    with pytest.raises(jsonschema.ValidationError, match=typo):
        check(config)


def test_more_workers_than_allowed_are_refused(config: dict[str, Any]) -> None:
    config["available_node_types"]["gpu"]["min_workers"] = 9
    with pytest.raises(ValueError, match="max_workers"):
        check(config)


def test_workers_are_spot_and_the_head_is_not(config: dict[str, Any]) -> None:
    head, gpu = (str(config["available_node_types"][kind]["node_config"]).lower() for kind in ("head", "gpu"))
    assert "spot" in gpu
    assert "spot" not in head


def test_what_it_copies_is_there_and_makes_a_raylab(config: dict[str, Any]) -> None:
    sources = {local for remote, local in config["file_mounts"].items() if remote.startswith("/home/ubuntu/raylab/")}
    assert all((ROOT / local).exists() for local in sources)
    assert {"pyproject.toml", "constraints.txt", "raylab", "README.md", "LICENSE", "search_spaces", "experiments"} == sources


def test_nodes_ask_for_the_token(config: dict[str, Any]) -> None:
    assert config["file_mounts"]["/home/ubuntu/.ray/auth_token"] == "~/.ray/auth_token"
    assert any("RAY_AUTH_MODE=token" in command for command in config["initialization_commands"])


def test_the_dashboard_listens_on_loopback(config: dict[str, Any]) -> None:
    assert any("--dashboard-host=127.0.0.1" in command for command in config["head_start_ray_commands"])
    assert "0.0.0.0" not in str({key: value for key, value in config.items() if "ray_commands" in key})


def test_setup_installs_the_tested_versions(config: dict[str, Any]) -> None:
    installs = [c for c in config["setup_commands"] + config["head_setup_commands"] if "pip install" in c]
    assert installs and all("--constraint ~/raylab/constraints.txt" in command for command in installs)
    assert all(re.search(r"(==[\d.]+|~/raylab)$", command) for command in installs)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_is_to_be_filled_in_is_no_account_of_somebody(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "REPLACE" in text
    assert not re.search(r"\b(ami|sg|fs|subnet|vpc)-[0-9a-f]{8,}\b|\bAKIA[A-Z0-9]{16}\b", text)


def test_constraints_hold_the_ray_that_is_tested() -> None:
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert f"ray=={importlib.metadata.version('ray')}\n" in constraints


# --- what Ray passes on to the cloud unread ---------------------------------------------------------------------


def _aws(config: dict[str, Any]) -> list[str]:
    """What EC2 would not take of the nodes' configurations, by botocore's model of it."""
    shape = ServiceModel(Loader().load_service_model("ec2", "service-2")).operation_model("RunInstances").input_shape
    kinds = config["available_node_types"].values()
    reports = [ParamValidator().validate({"MinCount": 1, "MaxCount": 1, **kind["node_config"]}, shape) for kind in kinds]
    return [report.generate_report() for report in reports if report.has_errors()]


def test_ec2_takes_the_nodes() -> None:
    (config,) = documents(DEPLOY / "aws.yaml")
    assert _aws(config) == []
    config["available_node_types"]["gpu"]["node_config"]["InstanceMarketOptions"]["SpotOption"] = {}
    (told,) = _aws(config)
    assert "SpotOption" in told


def test_the_provider_has_no_other_keys(config: dict[str, Any]) -> None:
    assert config["provider"].keys() - {"project_id"} == {"type", "region", "availability_zone", "cache_stopped_nodes"}


def _lint(text: str) -> list[str]:
    """What CloudFormation would not take of a template."""
    return [str(match) for match in cfnlint.api.lint(text, regions=["us-west-2"])]


def test_the_account_s_template_is_taken_and_a_typo_is_not() -> None:
    text = ACCOUNT.read_text(encoding="utf-8")
    assert _lint(text) == []
    for field in ("BlockPublicAcls", "GroupDescription", "AssumeRolePolicyDocument", "DeletionPolicy", "Value"):
        assert field in text
        assert _lint(text.replace(f"{field}:", f"{field}x:", 1)), field


def test_the_nodes_have_the_roles_that_the_account_is_given() -> None:
    (config,) = documents(DEPLOY / "aws.yaml")
    profiles = {kind["node_config"]["IamInstanceProfile"]["Name"] for kind in config["available_node_types"].values()}
    made = re.findall(r"InstanceProfileName: ([\w-]+)", ACCOUNT.read_text(encoding="utf-8"))
    assert profiles == set(made) == {"raylab-head", "raylab-worker"}
