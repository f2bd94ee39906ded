"""The HTTP front: the contract of version 1, through two lanes that answer alike.

From the wire inwards: `listeners` and `server` own the sockets, `tls` decrypts. In the fast lane
`direct` drives a connection; in the other, `asgi`, Hypercorn and Quart do. Both ask `head` what a
request is, `edge` for its route out of `routes`, and answer by `pipeline`, which turns a request
into a `Call` and an answer into a response.
The endpoints are one declarative table in `endpoints`; their handlers know no HTTP headers.

Nothing is imported here: commands that need a part of it would wait for all of it.
"""
