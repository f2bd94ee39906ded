"""The limits of every contestant: PostgreSQL with the same statements, HTTP without any work."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from actors.database.cluster import binary
from bench.contestants import on_cores, program
from bench.generator import Plan
from bench.results import NULL
from bench.serving import TREE

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from bench.contest import Arena

CLIENTS = 16
"""Equal to the peers' database connections."""

# The id of an account follows from its number: see bench/seed.py.
ORDER = """\
\\set n random(0, 999)
\\set asset random(1, 8)
begin;
select account_id, version, ledger_seq + 1 as seq,
       (state ->> 'order_seq')::bigint + 1 as order_seq, at_ms, uuidv7() as order_id
from inventories
where account_id = (lpad(to_hex(1700000000000 + :n::bigint), 12, '0')
                    || '7acc8000' || lpad(to_hex(:n::bigint), 12, '0'))::uuid
for update \\gset
select fingerprint, response from idempotency
where account_id = :account_id::uuid and key = :order_id::text;
insert into orders (order_id, account_id, seq, asset, kind, queue, count, cost, refund,
                    duration_ms, state, placed_ms, version)
values (:order_id::uuid, :account_id::uuid, :order_seq, 'cart' || :asset::text, 'unit',
        'yard' || :asset::text, 1, '{"gold": 3}', '[1,1]', 86400000, 'queued', :at_ms, 1);
insert into ledger (account_id, seq, at_ms, cause, order_id, changes)
values (:account_id::uuid, :seq, :at_ms, 'order-placed', :order_id::uuid,
        '{"gold": [-3, 999999997]}');
insert into idempotency (account_id, key, fingerprint, response, at_ms)
values (:account_id::uuid, :order_id::text, '\\x00112233445566778899aabbccddeeff',
        jsonb_build_object('order', :order_id::text), :at_ms);
update inventories set version = version + 1, ledger_seq = :seq,
       state = jsonb_set(state, '{order_seq}', to_jsonb(:order_seq::bigint))
where account_id = :account_id::uuid;
commit;
"""


def measure(
    arena: Arena, fresh_database: Callable[[str], AbstractContextManager[str]]
) -> dict[str, float]:
    """Measure the floors, in operations per second."""
    told = {
        NULL: _answers(arena, "null"),
        "HTTP echo on bare Trio": _answers(arena, "trio_echo"),
    }
    with fresh_database("floor") as dsn:
        told[f"the statements of an order, by pgbench, {CLIENTS} clients"] = _pgbench(arena, dsn)
    return told


def _answers(arena: Arena, module: str) -> float:
    command = [sys.executable, "-m", f"bench.peers.{module}"]
    with (
        tempfile.TemporaryDirectory(dir=arena.directory) as name,
        program(command, {}, arena.server_cores, Path(name)) as process,
    ):
        assert process.stdout is not None
        plan = Plan(
            port=int(process.stdout.readline()),
            tokens_file=str(arena.tokens_file),
            answered_file=str(Path(name) / "answered"),
            mix=(0.7, 0.25, 0.05),
            seconds=arena.seconds,
            warm_up_s=arena.warm_up_s,
        )
        return arena.generate(plan).per_second


def _pgbench(arena: Arena, dsn: str) -> float:
    """Send an order's statements from C, as prepared statements; pgbench has the core."""
    with tempfile.NamedTemporaryFile("w", suffix=".sql", dir=arena.directory) as script:
        script.write(ORDER)
        script.flush()
        command = [str(binary("pgbench")), "--no-vacuum", "--protocol=prepared", "--jobs=1"]
        command += [f"--client={CLIENTS}", f"--time={max(1, round(arena.seconds))}"]
        with on_cores(arena.server_cores):
            done = subprocess.run(
                [*command, f"--file={script.name}", dsn],
                cwd=TREE,
                capture_output=True,
                text=True,
                check=False,
                timeout=arena.seconds + 30,
            )
    found = re.search(r"tps = ([\d.]+)", done.stdout)
    if found is None or done.returncode:
        raise SystemExit(f"pgbench failed: {done.stderr}")
    return float(found[1])
