"""Where shipped files lie."""

import pytest

from raylab.search.shipped import shipped


def test_shipped_files_are_found() -> None:
    assert (shipped("search_spaces") / "masking.py").is_file()
    assert shipped("experiments").is_dir()


def test_a_folder_that_does_not_ship_is_an_error() -> None:
    with pytest.raises(FileNotFoundError, match="no_such_folder"):
        shipped("no_such_folder")
