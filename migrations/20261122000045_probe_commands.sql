-- How the request of a verify probe reads for people; for a program, how it was called. Without it the answers of programs
-- cannot be given again when the night is played again. Empty for probes of before.
alter table probe_answers add column command text not null default '';
