"""The lane of Hypercorn and Quart-Trio, which serves everything where the fast lane is off.

`lane` makes its connections, `connection` drives Hypercorn's `protocol`, `edge` is the outermost
ASGI application, and Quart, made by `quart_app` of the same routes, finds which one answers. It
answers as the fast lane does. Who serves by that alone does not load this package: Hypercorn and
Quart take a fifth of a start, and memory ever after.
"""
