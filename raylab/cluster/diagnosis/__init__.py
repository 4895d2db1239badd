"""Will a search run here, and on that cluster? Facts of machines, storage and tracking server, judged one by one."""

from collections.abc import Iterator

from raylab.cluster.diagnosis import machine, storage
from raylab.cluster.diagnosis.finding import Finding
from raylab.cluster.diagnosis.probe import examine
from raylab.storage import Storage

__all__ = ["Finding", "diagnose"]


def diagnose(place: Storage, tracking_uri: str, address: str | None = None) -> Iterator[Finding]:
    """Look at this machine and, if an address is given, at every node of the cluster there; findings as they come.

    place: the storage, which is left as it was found. Starts no Ray; joins one where an address is given.
    """
    needs = machine.requirements()
    here = examine([need.name for need in needs])
    yield machine.python(here["python"])
    yield machine.packages(here["versions"], needs)
    yield machine.shared_memory(here)
    yield machine.gpus(here)
    yield machine.tracking(tracking_uri)
    with storage.made(place.here) as trouble:
        stored = storage.usable(place, trouble)
        yield stored
        if address is not None:
            from raylab.cluster.diagnosis.cluster import compare  # Ray takes seconds to import

            yield from compare(address, None if stored.state == "fail" else place, here, needs)
