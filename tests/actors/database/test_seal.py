"""What a seal promises: a changed, cut or unsealed file is told from a complete one."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.database import seal as module
from actors.database.seal import is_whole, seal


def sealed(directory: str, content: bytes) -> Path:
    """Write a file and seal it."""
    file = Path(directory) / "file"
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    try:
        os.write(descriptor, content)
        seal(descriptor)
    finally:
        os.close(descriptor)
    return file


@given(content=st.binary(max_size=300), data=st.data())
def test_seal_finds_every_change(content: bytes, data: st.DataObject) -> None:
    """One bit changed, one byte less or one byte more, and the file is not complete."""
    with tempfile.TemporaryDirectory() as directory:
        file = sealed(directory, content)
        assert is_whole(file)
        whole = file.read_bytes()
        assert whole.startswith(content)
        place = data.draw(st.integers(0, len(whole) - 1))
        bit = 1 << data.draw(st.integers(0, 7))
        changed = bytes([whole[place] ^ bit])
        for other in (
            whole[:place] + changed + whole[place + 1 :],
            whole[:place] + whole[place + 1 :],
            whole[:place],
            whole + b"\n",
        ):
            file.write_bytes(other)
            assert not is_whole(file)


def test_seal_takes_files_of_any_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that does not fit into one piece is read in several."""
    monkeypatch.setattr(module, "_PIECE_BYTES", 7)
    assert is_whole(sealed(str(tmp_path), b"x" * 50))


def test_seal_of_nothing_is_missing(tmp_path: Path) -> None:
    """An unsealed file is not complete."""
    (tmp_path / "file").write_bytes(b"x" * 500)
    assert not is_whole(tmp_path / "file")


def test_seal_that_cannot_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk is no reason to call a file sealed."""

    def write_a_little(*_: object) -> int:
        return 3

    monkeypatch.setattr(os, "pwrite", write_a_little)
    with pytest.raises(OSError, match="only partly written"):
        sealed(str(tmp_path), b"content")
