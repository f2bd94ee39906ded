"""What one request leaves behind: who asked for what, and what became of it."""

from __future__ import annotations

import msgspec

UNMATCHED = "unmatched"
"""The route of a request that no endpoint is there for."""


class Trail(msgspec.Struct, gc=False):
    """One request on its way through the server; each part fills in what it learns.

    - ``client``: the address that the connection came from; empty where it is not known.
    - ``route``: the template of the path, ``/v1/inventory/orders/{order_id}``.
    - ``account_id``: who asks, once that is known.
    - ``status``, ``seconds``: of the answer, and until it began; 0 as long as there is none.
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
        """Give what every event that is logged on behalf of this request is bound to."""
        if self.account_id is None:
            return {"request_id": self.request_id}
        return {"request_id": self.request_id, "account_id": self.account_id}
