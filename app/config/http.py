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
            description='Address to listen on. "*" is every IPv4 and IPv6 address of this machine; '
            '"0.0.0.0" is IPv4 only, "::" IPv6 only.',
        ),
    ] = "127.0.0.1"
    port: Annotated[
        int, Meta(ge=0, le=65535, description="Port to listen on; 0 picks a free one.")
    ] = 8470
    fast_lane: Annotated[
        bool,
        Meta(
            description="Answer requests without going through Hypercorn and Quart: the same "
            "answers for a fraction of the work."
        ),
    ] = True
    tls_certificate: Annotated[
        str,
        Meta(
            description="File with the certificate and its chain (PEM), to serve HTTPS; empty: "
            "plain HTTP.",
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
            description="Send headers that keep browsers from guessing content types and "
            "framing pages and, over TLS, from using plain HTTP for a year."
        ),
    ] = True
    cors_origins: Annotated[
        str,
        Meta(
            description="Other sites whose scripts may use the API, separated by commas "
            '("https://play.example.org"); "*": every site; empty: none.'
        ),
    ] = ""
    reply_timeout_ms: Annotated[
        int,
        Meta(
            ge=100,
            le=600_000,
            description="How long a request waits for its actor before it gets 504. A password "
            "waits at most half as long to be hashed, and a refresh for the database, before it "
            "gets 503.",
        ),
    ] = 5_000
    max_body_bytes: Annotated[
        int, Meta(ge=1_024, le=16_777_216, description="Largest request body; larger ones get 413.")
    ] = 65_536
    max_header_bytes: Annotated[
        int, Meta(ge=1_024, le=1_048_576, description="Largest request head; larger ones get 431.")
    ] = 16_384
    max_target_bytes: Annotated[
        int,
        Meta(ge=64, le=1_048_576, description="Longest path with its query; longer ones get 414."),
    ] = 8_192
    headers_max: Annotated[
        int, Meta(ge=8, le=10_000, description="Headers in a request; more get 431.")
    ] = 100
    pipelined_max: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Requests that a client may send without waiting for answers; after "
            "that many answers its connection is closed.",
        ),
    ] = 256
    first_byte_timeout_ms: Annotated[
        int, Meta(ge=100, le=600_000, description="How long a new connection may stay silent.")
    ] = 10_000
    read_timeout_ms: Annotated[
        int,
        Meta(ge=100, le=600_000, description="How long a client may take to send a request head."),
    ] = 10_000
    body_timeout_ms: Annotated[
        int,
        Meta(
            ge=100,
            le=600_000,
            description="How long a client may take to send a body before it gets 408.",
        ),
    ] = 10_000
    send_timeout_ms: Annotated[
        int,
        Meta(
            ge=100,
            le=600_000,
            description="How long a client may leave a response unread before it is cut off.",
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
            description="Connections served at once; fewer if the system allows too few open "
            "files.",
        ),
    ] = 10_000
    connections_per_address_max: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Connections served at once from one address (or IPv6 /64 network); for "
            "an address behind a trusted proxy, its event streams.",
        ),
    ] = 1_000
    requests_per_second_per_account: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description="Sustained request rate of one account; requests beyond it get 429. 0: "
            "no limit.",
        ),
    ] = 50
    burst_per_account: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description="Requests that an account may make at once after a pause. 0: no limit.",
        ),
    ] = 200
    requests_per_second_per_address: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description="Sustained request rate of one address (or IPv6 /64 network); requests "
            "beyond it get 429. 0: no limit.",
        ),
    ] = 500
    burst_per_address: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description="Requests that may come from an address at once after a pause. 0: no "
            "limit.",
        ),
    ] = 2_000
    in_flight_max: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Requests in flight at once; more get 503.")
    ] = 2_000
    bodies_in_flight_max_bytes: Annotated[
        int,
        Meta(
            ge=1_024,
            le=68_719_476_736,
            description="Memory for the bodies of all requests that are arriving or in flight, "
            "not counting bodies of up to 1 KiB; more get 503. Not less than max_body_bytes.",
        ),
    ] = 67_108_864
    exempt_addresses: Annotated[
        str,
        Meta(
            description="Addresses and networks exempt from the limits per address, separated "
            'by commas ("127.0.0.1, 10.0.0.0/8").'
        ),
    ] = "127.0.0.0/8, ::1"
    trusted_proxies: Annotated[
        str,
        Meta(
            description="Addresses and networks of your proxies, which must themselves write "
            "the client's address to X-Forwarded-For; limits per address then apply to each "
            "client. Empty: none."
        ),
    ] = ""
    backlog: Annotated[
        int,
        Meta(
            ge=1,
            le=65_535,
            description="Connections that the system queues until they are accepted.",
        ),
    ] = 1_024
