-- The mark of the batch that Storage committed last: whether a commit whose confirmation was lost
-- took effect is read from here. There is always one row.

create table last_commit (
    singleton boolean primary key default true check (singleton),
    mark bigint not null
);

insert into last_commit (mark) values (0);
