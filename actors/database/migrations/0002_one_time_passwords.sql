-- A password that somebody else chose, such as the first one of the first admin, is good for one
-- thing: choosing another.

alter table accounts
    add column must_change_password boolean not null default false;
