"""The lane of Hypercorn and Quart-Trio, which serves everything where the fast lane is off.

`lane` makes its connections, `connection` drives Hypercorn's `protocol`, `edge` is the outermost
ASGI application, and `quart_app` is Quart, which asks the edge for the route as the fast lane does,
and answers as it does. Where the fast lane serves, this package is not loaded: Hypercorn and
Quart take a fifth of a start, and memory ever after.
"""
