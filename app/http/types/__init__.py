"""The bodies, queries and answers of the API, one module per subject.

Requests refuse unknown members; every type is also its own schema in ``/openapi.json``.
"""
