"""Files and folders appear whole or not at all."""

from pathlib import Path

import pytest

from raylab.data.files import written_once


def test_it_appears_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    with written_once(path) as temporary:
        temporary.write_text("text")
        assert not path.exists()
    assert path.read_text() == "text"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [RuntimeError("stop"), FileExistsError("a mistake of the block"), KeyboardInterrupt()])
def test_an_error_of_the_block_is_raised_and_nothing_stays(error: BaseException, tmp_path: Path) -> None:
    def half_done() -> None:
        with written_once(tmp_path / "file") as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(type(error)):
        half_done()
    assert list(tmp_path.iterdir()) == []


def test_what_was_there_meanwhile_stays(tmp_path: Path) -> None:
    for path in (tmp_path / "file", tmp_path / "folder"):
        with written_once(path) as ours:
            ours.write_text("ours")
            path.write_text("theirs")
        assert path.read_text() == "theirs"


def test_a_target_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), written_once(tmp_path / "file"):
        pass  # nothing was written
