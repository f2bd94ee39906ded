"""A shell into which a page's commands are typed one by one, and their output."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.serving import PROGRAM, environment

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from pathlib import Path

_END = "--- end of step ---"
STREAM_S = 2
"""How long a stream of events is listened to."""

_PRELUDE = f"""
holdfast() {{ {shlex.quote(sys.executable)} -c {shlex.quote(PROGRAM)} "$@"; }}
curl() {{
  local stream=
  case " $* " in *" -N "*) stream="--max-time {STREAM_S}";; esac
  command curl -s $stream -D "$heads" "$@"
  local status=$?
  if [ -n "$stream" ] && [ $status = 28 ]; then return 0; fi
  return $status
}}
"""


@dataclass(frozen=True, slots=True)
class Said:
    """A step's output and exit status, and the status and headers of its last answer."""

    output: str
    exit_status: int
    status_line: str
    headers: Mapping[str, str]

    @property
    def json(self) -> Any:
        """The output as JSON."""
        return json.loads(self.output)


class Shell:
    """A bash process that lasts for all steps of a page, so that variables persist."""

    def __init__(self, process: subprocess.Popen[str], heads: Path) -> None:
        self._process = process
        self._heads = heads

    def type(self, commands: str) -> Said:
        """Type commands; wait until they are done."""
        self._heads.unlink(missing_ok=True)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{commands}\nprintf '\\n%s %s\\n' '{_END}' $?\n")
        self._process.stdin.flush()
        lines: list[str] = []
        for line in self._process.stdout:
            if line.startswith(_END):
                return self._said("".join(lines), int(line.removeprefix(_END)))
            lines.append(line)
        raise AssertionError("the shell has ended: " + "".join(lines))

    def _said(self, output: str, exit_status: int) -> Said:
        head = self._heads.read_text().splitlines() if self._heads.exists() else [""]
        pairs = (line.partition(":") for line in head[1:] if ":" in line)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        return Said(output.strip("\n"), exit_status, head[0].strip(), headers)


@contextmanager
def shell(place: Path, **settings: str) -> Generator[Shell]:
    """Open a shell in a folder for the duration of the block."""
    heads = place / "heads"
    with subprocess.Popen(
        ["bash", "--norc", "--noprofile"],
        cwd=place,
        env=environment({"PATH": os.environ["PATH"], "heads": str(heads), **settings}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            opened = Shell(process, heads)
            opened.type(_PRELUDE)
            yield opened
        finally:
            process.kill()
