"""A server that answers everything with the same bytes, to measure the generator itself.

python bench/peers/null.py: prints its port, and ends when its standard input does.
"""

from __future__ import annotations

import select
import socket
import sys

BODY = b'{"gold":1000000000,"wood":5000,"stone":3000}'
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
    len(BODY),
    BODY,
)


def main() -> None:
    """Answer until standard input ends."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    print(listener.getsockname()[1], flush=True)
    epoll = select.epoll()
    for descriptor in (listener.fileno(), sys.stdin.fileno()):
        epoll.register(descriptor, select.EPOLLIN)
    clients: dict[int, socket.socket] = {}
    while True:
        for descriptor, _ in epoll.poll():
            client = clients.get(descriptor)
            if client is not None:
                # The generator sends each request in one piece and waits for its answer.
                if client.recv(65_536):
                    client.send(ANSWER)
                else:
                    epoll.unregister(descriptor)
                    clients.pop(descriptor).close()
            elif descriptor == listener.fileno():
                made, _ = listener.accept()
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                clients[made.fileno()] = made
                epoll.register(made.fileno(), select.EPOLLIN)
            else:
                return


if __name__ == "__main__":
    main()
