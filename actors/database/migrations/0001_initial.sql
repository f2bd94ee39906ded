-- Accounts and their sessions, written by Authx.

create table accounts (
    account_id    uuid primary key,
    username      text not null,
    username_key  text not null constraint accounts_username_key unique,  -- after NFKC and casefold
    password_hash text not null,
    role          text not null default 'player'
                  constraint accounts_role check (role in ('player', 'admin')),
    suspended_at  timestamptz,
    created_at    timestamptz not null
);

-- For an operator's search by the beginning of a name, and for whose world stands still.
create index accounts_username_prefix on accounts (username_key text_pattern_ops);
create index accounts_suspended on accounts (account_id) where suspended_at is not null;

-- A refresh token names its session and carries a secret; the hash of the secret of the current
-- generation is kept. A secret of an earlier generation is a reuse.
create table sessions (
    session_id   uuid primary key,
    account_id   uuid not null references accounts on delete cascade,
    generation   integer not null default 1 constraint sessions_generation check (generation > 0),
    refresh_hash bytea not null,
    created_at   timestamptz not null,
    refreshed_at timestamptz not null,
    expires_at   timestamptz not null
);

create index sessions_account on sessions (account_id);
create index sessions_expiry on sessions (expires_at);

-- The game, written by Storage. Times in *_ms are world time, milliseconds since the Unix epoch.

create table world (
    name     text primary key,
    world_id uuid not null,
    tick     bigint not null constraint world_tick check (tick >= 0),
    now_ms   bigint not null,
    ruleset  text not null,
    version  bigint not null
);

-- Every set of rules that this world has run under, whole, and from when each was in force: an
-- account that was not touched since is settled under each of them in turn.
create table ruleset_archive (
    version text primary key,
    name    text not null,
    content text not null
);

create table ruleset_history (
    seq     bigint primary key,
    version text not null references ruleset_archive,
    from_ms bigint not null,
    renamed jsonb not null  -- names under the rules before, and what they are called now
);

-- One row per account, updated in place: the room in each page keeps an update that leaves
-- next_due_ms as it is off the indexes.
create table inventories (
    account_id  uuid primary key references accounts on delete cascade,
    version     bigint not null,
    ruleset     text not null,
    at_ms       bigint not null,
    next_due_ms bigint,
    frozen_ms   bigint,  -- since when the account stands still, because it is suspended
    ledger_seq  bigint not null constraint inventories_ledger_seq check (ledger_seq >= 0),
    state       jsonb not null
) with (fillfactor = 70);

create index inventories_frozen on inventories (account_id) where frozen_ms is not null;
create index inventories_due on inventories (next_due_ms) where next_due_ms is not null;

-- The three tables below take a row or more with every order: no foreign key is checked there.
-- The trigger at the end does the work of the cascade.

create table orders (
    order_id    uuid primary key,
    account_id  uuid not null,
    seq         bigint not null constraint orders_seq check (seq > 0),
    asset       text not null,
    kind        text not null,
    queue       text not null,
    level       bigint constraint orders_level check (level > 0),
    count       bigint constraint orders_count check (count > 0),
    delivered   bigint not null default 0 constraint orders_delivered check (delivered >= 0),
    cost        jsonb not null,
    refund      jsonb not null,  -- the share of the cost: [numerator, denominator]
    duration_ms bigint not null constraint orders_duration check (duration_ms >= 0),
    state       text not null
                constraint orders_state
                check (state in ('queued', 'running', 'completed', 'cancelled')),
    placed_ms   bigint not null,
    starts_ms   bigint,
    finishes_ms bigint,
    version     bigint not null,
    constraint orders_account_seq unique (account_id, seq)
) with (fillfactor = 80);

create index orders_pending on orders (account_id) where state in ('queued', 'running');

create table ledger (
    account_id  uuid not null,
    seq         bigint not null constraint ledger_seq check (seq > 0),
    at_ms       bigint not null,
    cause       text not null,
    order_id    uuid,
    transfer_id uuid,
    changes     jsonb not null,
    primary key (account_id, seq)
);

create table idempotency (
    account_id  uuid not null,
    key         text not null,
    fingerprint bytea not null,
    response    jsonb not null,
    at_ms       bigint not null,
    primary key (account_id, key)
);

-- What one account has sent another. It is either with the sender, or here as 'sent', or with the
-- receiver: each step is one unit together with the inventory that it concerns.
create table transfers (
    transfer_id uuid primary key,
    sender      uuid not null,
    receiver    uuid not null,
    sender_name text not null,
    receiver_name text not null,
    resources   jsonb not null,
    note        text not null,
    state       text not null
                constraint transfers_state
                check (state in ('sent', 'delivered', 'returned', 'lost')),
    sent_ms     bigint not null,
    settled_ms  bigint,
    version     bigint not null
);

create index transfers_in_flight on transfers (transfer_id) where state = 'sent';
create index transfers_sender on transfers (sender, transfer_id);
create index transfers_receiver on transfers (receiver, transfer_id);

create function erase_account_rows() returns trigger language plpgsql as $$
begin
    delete from orders where account_id in (select account_id from erased);
    delete from ledger where account_id in (select account_id from erased);
    delete from idempotency where account_id in (select account_id from erased);
    -- The other side keeps its record, without the name.
    update transfers set sender_name = '', note = '' where sender in (select account_id from erased);
    update transfers set receiver_name = '', note = '' where receiver in (select account_id from erased);
    delete from transfers
    where state <> 'sent'
      and not exists (select from accounts where account_id in (sender, receiver));
    return null;
end
$$;

create trigger accounts_erase after delete on accounts
    referencing old table as erased
    for each statement execute function erase_account_rows();

-- What operators did, and why; outlives the accounts it tells of.

create table audit (
    audit_id uuid primary key,
    at       timestamptz not null,
    actor    text not null,
    action   text not null,
    subject  text not null,
    reason   text not null,
    detail   jsonb not null
);

create index audit_at on audit (at);
