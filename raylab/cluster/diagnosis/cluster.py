"""Every node of a running cluster, compared with this machine."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from packaging.requirements import Requirement

from raylab.cluster.diagnosis import machine, storage
from raylab.cluster.diagnosis.finding import Finding, State
from raylab.cluster.diagnosis.nodes import Node, ask_nodes, joined, ray_version
from raylab.cluster.diagnosis.probe import examine
from raylab.errors import UserError
from raylab.storage import Storage

_SAME = ("raylab", "ray")  # whose difference between two machines ends a search; that of others shifts numbers


def compare(address: str, folder: Storage | None, here: Mapping[str, Any], needs: Sequence[Requirement]) -> Iterator[Finding]:
    """Join the cluster and judge its nodes. folder: the storage they should see, None if there is none to be seen."""
    where = f"cluster at {address}"
    try:
        with joined(address):
            yield from _judged(where, folder, here, needs)
    except UserError as error:
        advice = "`ray status` on its head says whether it runs. Ray, Python and the token (RAY_AUTH_MODE) must be the same here."
        yield Finding(where=where, check="nodes", state="fail", found=str(error), advice=advice)


def check_nodes(folder: Storage) -> None:
    """Raise UserError if a node of the cluster that was joined would stop a search, or does not see its storage."""
    needs = machine.requirements()
    here = examine([need.name for need in needs] or list(_SAME))
    failed = [finding for finding in _judged("cluster", folder, here, needs) if finding.state == "fail"]
    if failed:
        more = f" ({len(failed) - 1} more: `raylab doctor --address ...` tells all)" if failed[1:] else ""
        raise UserError(f"node {failed[0].where}: {failed[0].found}. {failed[0].advice}{more}")


def _judged(where: str, folder: Storage | None, here: Mapping[str, Any], needs: Sequence[Requirement]) -> Iterator[Finding]:
    """Of the cluster that was joined, all together and each node."""
    with storage.meeting(folder) if folder else contextlib.nullcontext() as met:
        inside, token = met or (None, "")
        nodes = ask_nodes([need.name for need in needs] or list(_SAME), inside.address if inside else None)
        yield Finding(where=where, check="nodes", state="ok", found=f"{_total(nodes)}, Ray {ray_version()}")
        for node in nodes:
            yield from judge(node, here, needs, inside, token)


def judge(
    node: Node, here: Mapping[str, Any], needs: Sequence[Requirement], meeting: Storage | None, token: str
) -> Iterator[Finding]:
    """What is wrong with a node, compared with this machine; one line that it is fine, if nothing is."""
    if node.facts is None:
        advice = "Look at this node's logs below /tmp/ray/session_latest/logs."
        yield Finding(where=node.name, check="node", state="fail", found=node.trouble, advice=advice)
        return
    looked_at = (
        _code(node.name, node.facts, here),
        _versions(node.name, node.facts["versions"], here["versions"], needs),
        machine.shared_memory(node.facts, node.name),
        _gpus(node, node.facts),
        storage.sees(node.name, node.facts["storage"], meeting, token) if meeting else None,
    )
    troubles = [finding for finding in looked_at if finding is not None and finding.state != "ok"]
    fine = f"{_resources(node.resources)}; same code and packages" + (", sees the storage" if meeting else "")
    yield from troubles or [Finding(where=node.name, check="node", state="ok", found=fine)]


def _code(where: str, facts: Mapping[str, Any], here: Mapping[str, Any]) -> Finding | None:
    there = facts["raylab"]
    if there == here["raylab"]:
        return None
    found = "raylab can't be imported" if there is None else f"another raylab: its code is {there}, here it is {here['raylab']}"
    return Finding(where=where, check="raylab", state="fail", found=found, advice="Install the raylab of this machine there.")


def _versions(
    where: str, there: Mapping[str, str | None], here: Mapping[str, str | None], needs: Sequence[Requirement]
) -> Finding | None:
    wrong = machine.unmet(there, needs)
    differing = [name for name, version in there.items() if name not in wrong and version != here.get(name)]
    if not wrong and not differing:
        return None
    state: State = "fail" if wrong or set(_SAME) & set(differing) else "warn"
    told = {**wrong, **{name: f"{there[name]} (here {here.get(name)})" for name in differing}}
    advice = "Install the versions of this machine there, e.g. with pip install -c constraints.txt."
    return Finding(where=where, check="packages", state=state, found=machine.listed(told), advice=advice)


def _gpus(node: Node, facts: Mapping[str, Any]) -> Finding:
    """Ray's count is what runs are placed by."""
    promised, there = int(node.resources.get("GPU", 0)), len(facts["gpus"])
    if promised <= there:
        return machine.gpus(facts, node.name)
    advice = "Start Ray there without --num-gpus, or mend the driver: nvidia-smi should list them."
    found = f"Ray promises {promised}, nvidia-smi lists {there}"
    return Finding(where=node.name, check="gpus", state="fail", found=found, advice=advice)


def _total(nodes: Sequence[Node]) -> str:
    total = {kind: sum(node.resources.get(kind, 0) for node in nodes) for kind in ("CPU", "GPU")}
    return f"{len(nodes)} node{'s' * (len(nodes) != 1)}, {_resources(total)}"


def _resources(resources: Mapping[str, float]) -> str:
    counts = {kind: resources.get(kind, 0) for kind in ("CPU", "GPU")}
    return ", ".join(f"{count:g} {kind}{'s' * (count != 1)}" for kind, count in counts.items())
