-- How each person wants their pages, and when the circuits of targets were open.

-- No row: everything as it comes.
create table preferences (
    operator_id bigint primary key references operators,
    theme text not null check (theme in ('system', 'light', 'dark', 'night')),
    -- Size of text, in per cent.
    text_size smallint not null check (text_size in (100, 115, 130)),
    keys text not null check (keys in ('on', 'alt', 'off')),
    clock text not null check (clock in ('utc', 'both'))
);

-- The row of a circuit is gone once it is closed; this is what remains of it, for a month.
create table breaker_openings (
    target text not null check (target <> ''),
    opened_at timestamptz not null,
    closed_at timestamptz,
    reason text not null,
    primary key (target, opened_at),
    check (closed_at >= opened_at)
);
create index breaker_openings_at on breaker_openings (opened_at);
