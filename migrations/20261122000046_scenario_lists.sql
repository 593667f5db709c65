-- Scenarios that train a runbook, and those made of real incidents that are out of use.
create index scenario_versions_runbooks on scenario_versions using gin ((definition -> 'runbooks'));

-- What an admin has taken out of use is kept as it was in use, and comes back as that.
alter table scenarios add column retired_version_id bigint references scenario_versions;
alter table scenarios add constraint scenarios_in_use_or_out check (current_version_id is null or retired_version_id is null);
create index scenarios_out_of_use on scenarios (slug) where retired_version_id is not null;
