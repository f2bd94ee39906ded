"""The record of one request: who asked for what, and the outcome."""

from __future__ import annotations

import msgspec

UNMATCHED = "unmatched"
"""The route of a request that matches no endpoint."""


class Trail(msgspec.Struct, gc=False):
    """One request on its way through the server; each part fills in what it learns.

    - ``client``: the address that the request comes from; empty if it is unknown.
    - ``route``: the template of the path, ``/v1/inventory/orders/{order_id}``.
    - ``account_id``: the caller's, once it is known.
    - ``status``, ``seconds``: of the answer, and until it began; 0 before there is one.
    """

    request_id: str = ""
    method: str = ""
    path: str = ""
    client: str = ""
    route: str = UNMATCHED
    account_id: str | None = None
    status: int = 0
    seconds: float = 0.0

    def log_fields(self) -> dict[str, object]:
        """Return the fields to bind to every event logged on behalf of this request."""
        if self.account_id is None:
            return {"request_id": self.request_id}
        return {"request_id": self.request_id, "account_id": self.account_id}
