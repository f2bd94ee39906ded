"""The lane of Hypercorn and Quart-Trio, which serves everything if the fast lane is off.

`lane` makes its connections, `connection` drives Hypercorn's `protocol`, `edge` is the outermost
ASGI application, and `quart_app` is Quart, which gets the route from the edge and answers, both
like the fast lane. If the fast lane is on, this package is not loaded: Hypercorn and Quart take a
fifth of the startup time, and memory ever after.
"""
