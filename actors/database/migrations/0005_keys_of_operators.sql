-- An operator's idempotency keys and the account's own are two sets, and neither can use up one of
-- the other: a player's key has no space in it.

update idempotency set key = 'operator ' || key where response ? 'grant';
