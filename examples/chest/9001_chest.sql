create table chest (
    name     text primary key,
    holdings jsonb not null,
    version  bigint not null
);

create table chest_payments (
    account_id  uuid not null references accounts on delete cascade,
    key         text not null,
    payment_id  uuid not null,
    fingerprint bytea not null,
    resources   jsonb not null,
    state       text not null constraint chest_payments_state check (state in ('begun', 'made')),
    version     bigint not null,
    primary key (account_id, key)
);

create index chest_payments_begun on chest_payments (payment_id) where state = 'begun';
