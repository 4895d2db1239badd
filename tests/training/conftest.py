"""One prepared task for all tests of training, and a loss read at every step."""

import pytest

from raylab.data.prepared import Prepared
from raylab.training import loop
from tests import tiny


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return tiny.prepared(tmp_path_factory.mktemp("prepared"))


@pytest.fixture(autouse=True)
def _every_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "READ_EVERY", 1)
