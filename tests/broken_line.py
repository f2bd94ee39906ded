"""A database connection that breaks where a test wants: the work is done, its answer lost."""

from __future__ import annotations

import select
import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from actors.database.dsn import socket_dsn
from tests.postgres import reachable_directory

if TYPE_CHECKING:
    from collections.abc import Generator


@contextmanager
def broken_line(dsn: str, at: bytes) -> Generator[str]:
    """Yield the DSN of a proxy to the database whose connections break when they send ``at``.

    The database receives ``at``; when it answers, the connection is cut and the answer is lost.
    """
    parts = urlsplit(dsn)
    where = parse_qs(parts.query)
    far = f"{where['host'][0]}/.s.PGSQL.{where['port'][0]}"
    with reachable_directory() as directory, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{directory}/.s.PGSQL.1")
        listener.listen()
        accepting = threading.Thread(target=_accept, args=(listener, far, at))
        accepting.start()
        try:
            user = parts.netloc.removesuffix("@")
            yield socket_dsn(directory, port=1, user=user, database=parts.path[1:])
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join()


def _accept(listener: socket.socket, far: str, at: bytes) -> None:
    carrying: list[threading.Thread] = []
    with suppress(OSError):
        while True:
            near, _ = listener.accept()
            carrying.append(threading.Thread(target=_carry, args=(near, far, at)))
            carrying[-1].start()
    for thread in carrying:
        thread.join()


def _carry(near: socket.socket, far: str, at: bytes) -> None:
    breaking = False
    with near, socket.socket(socket.AF_UNIX) as database, suppress(ConnectionError):
        database.connect(far)
        ways = {near: database, database: near}
        while True:
            for source in select.select([*ways], [], [])[0]:
                data = source.recv(65536)
                if not data or (breaking and source is database):
                    return
                breaking = breaking or (source is near and at in data)
                ways[source].sendall(data)
