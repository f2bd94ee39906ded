"""The HTTP front: the contract of version 1, through two lanes with identical answers.

From the wire inwards: `listeners` and `server` own the sockets, `tls` decrypts. In the fast lane
`direct` drives a connection; in the other, `asgi`, Hypercorn and Quart do. Both parse a request
with `head`, get its route in `routes` from `edge`, and answer through `pipeline`, which turns a
request into a `Call` and an answer into a response.
The endpoints are one declarative table in `endpoints`; their handlers know no HTTP headers.

Nothing is imported here, so that commands that need one part do not wait for all of it.
"""
