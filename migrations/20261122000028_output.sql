-- What an attempt's program writes, while it writes it. Cold rows beside the attempt: nothing a worker needs to go on is
-- here, and a page reads only the few that hold the lines it shows.

-- Redacted before it gets here. Whole lines, each ended by a newline. Rows come only from statements that hold the run's
-- row in the queue, so that an older claim writes nothing; and an older attempt is never written again.
create table output_chunks (
    run_id bigint not null,
    step text not null,
    attempt integer not null,
    -- The place of its first line in the whole output, from 1. Where the next chunk does not begin with the line after
    -- this one's last, lines were let go in between.
    first_line bigint not null check (first_line > 0),
    lines integer not null check (lines > 0),
    -- Bytes of the whole output before this chunk, and in it.
    first_byte bigint not null check (first_byte >= 0),
    bytes integer not null check (bytes > 0),
    -- What had been let go, of lines and of bytes, when this chunk was written: the newest one tells of the whole.
    gone_lines bigint not null,
    gone_bytes bigint not null,
    -- Which of its lines, counted from 0, came on standard error.
    errors integer[] not null,
    text text not null,
    written_at timestamptz not null default now(),
    primary key (run_id, step, attempt, first_line)
);
