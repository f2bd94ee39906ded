"""The section of the HTTP front, which has the most keys."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from app.config.section import PATH, Section


class Http(Section, frozen=True):
    """The HTTP front."""

    host: Annotated[
        str,
        Meta(
            min_length=1,
            description='Address to listen on. "*": every one of this machine, of IPv4 and IPv6; '
            '"0.0.0.0" is IPv4 alone, "::" IPv6 alone.',
        ),
    ] = "127.0.0.1"
    port: Annotated[
        int, Meta(ge=0, le=65535, description="Port to listen on; 0 picks a free one.")
    ] = 8470
    fast_lane: Annotated[
        bool,
        Meta(
            description="Answer requests without Hypercorn and Quart between: the same answers, "
            "for a fraction of the work."
        ),
    ] = True
    tls_certificate: Annotated[
        str,
        Meta(
            description="File with the certificate and its chain (PEM), to serve HTTPS; empty: "
            "HTTP.",
            extra={"path": PATH},
        ),
    ] = ""
    tls_key: Annotated[
        str,
        Meta(description="File with the certificate's key (PEM).", extra={"path": PATH}),
    ] = ""
    security_headers: Annotated[
        bool,
        Meta(
            description="Send headers that keep browsers from guessing and framing, and over TLS "
            "from coming without it for a year."
        ),
    ] = True
    cors_origins: Annotated[
        str,
        Meta(
            description="Other sites whose scripts may use the API, with commas between "
            '("https://play.example.org"); "*": every site; empty: none.'
        ),
    ] = ""
    reply_timeout_ms: Annotated[
        int,
        Meta(
            ge=1,
            le=600_000,
            description="How long a request waits for its actor; beyond it 504. A password waits "
            "half of it at most to be hashed, and a refresh for the database; beyond that 503.",
        ),
    ] = 5_000
    max_body_bytes: Annotated[
        int, Meta(ge=1_024, le=16_777_216, description="Largest request body; beyond it 413.")
    ] = 65_536
    max_header_bytes: Annotated[
        int, Meta(ge=1_024, le=1_048_576, description="Largest request head; beyond it 431.")
    ] = 16_384
    max_target_bytes: Annotated[
        int, Meta(ge=64, le=1_048_576, description="Longest path with its query; beyond it 414.")
    ] = 8_192
    headers_max: Annotated[
        int, Meta(ge=8, le=10_000, description="Headers of a request; beyond it 431.")
    ] = 100
    pipelined_max: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Requests that a client may send without waiting for answers; after so "
            "many answers its connection is closed.",
        ),
    ] = 256
    first_byte_timeout_ms: Annotated[
        int, Meta(ge=1, le=600_000, description="How long a new connection may stay silent.")
    ] = 10_000
    read_timeout_ms: Annotated[
        int,
        Meta(ge=100, le=600_000, description="How long a client may take to send a request head."),
    ] = 10_000
    body_timeout_ms: Annotated[
        int,
        Meta(ge=100, le=600_000, description="How long it may take to send the body; then 408."),
    ] = 10_000
    send_timeout_ms: Annotated[
        int,
        Meta(
            ge=100,
            le=600_000,
            description="How long a client may leave a response unread; then it is cut off.",
        ),
    ] = 2_000
    keep_alive_timeout_ms: Annotated[
        int, Meta(ge=1, le=600_000, description="How long an idle connection is kept open.")
    ] = 75_000
    connections_max: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Connections served at once; fewer where the system allows too few open "
            "files.",
        ),
    ] = 10_000
    connections_per_address_max: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Connections served at once from one address (of IPv6: one /64 network), "
            "and its event streams where it comes through a trusted proxy.",
        ),
    ] = 1_000
    requests_per_second_per_account: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description="Requests that one account may make, again and again; beyond it 429. 0: "
            "any number.",
        ),
    ] = 50
    burst_per_account: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description="Requests that it may make at once after a pause. 0: any number.",
        ),
    ] = 200
    requests_per_second_per_address: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description="Requests from one address (of IPv6: one /64 network), again and again; "
            "beyond it 429. 0: any number.",
        ),
    ] = 500
    burst_per_address: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description="Requests that may come from it at once after a pause. 0: any number.",
        ),
    ] = 2_000
    in_flight_max: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Requests in hand at once; beyond it 503.")
    ] = 2_000
    bodies_in_flight_max_bytes: Annotated[
        int,
        Meta(
            ge=1_024,
            le=68_719_476_736,
            description="Memory for the bodies of all requests that are on their way or in hand, "
            "without those of up to 1 KiB; beyond it 503. Not less than max_body_bytes.",
        ),
    ] = 67_108_864
    exempt_addresses: Annotated[
        str,
        Meta(
            description="Addresses and networks that no limit per address holds for, with commas "
            'between ("127.0.0.1, 10.0.0.0/8").'
        ),
    ] = "127.0.0.0/8, ::1"
    trusted_proxies: Annotated[
        str,
        Meta(
            description="Addresses and networks of your proxies, which tell in X-Forwarded-For "
            "whom they pass on, and take nobody's word for it; limits per address then hold for "
            "each of those. Empty: none."
        ),
    ] = ""
    backlog: Annotated[
        int,
        Meta(ge=1, le=65_535, description="Connections the system holds until they are accepted."),
    ] = 1_024
