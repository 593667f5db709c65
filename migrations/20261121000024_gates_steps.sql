-- The page of a gate shows what people asked there; they ask seldom, and a timeline is long.
create index events_questions on events (incident_id, seq) where kind = 'question_asked';
-- And what became of the newest request at the same gate of a run.
create index approvals_run on approvals (run_id, step, id);
