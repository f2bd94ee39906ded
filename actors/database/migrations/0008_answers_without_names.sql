-- The first answer to the key of a transfer has no names and no note: an erasure finds those in the
-- transfers, and where the answer is asked for again it is read from there.

update idempotency
set response = jsonb_set(
    response, '{transfer}',
    (response -> 'transfer') || '{"sender_name": "", "receiver_name": "", "note": ""}'
)
where response ? 'transfer';
