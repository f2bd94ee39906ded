-- What an account has sent today counts towards its limit, however much it has ever sent.

create index transfers_sent on transfers (sender, sent_ms);
