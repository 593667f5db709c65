-- Scenarios that train a runbook, and those made of real incidents that are out of use.
create index scenario_versions_runbooks on scenario_versions using gin ((definition -> 'runbooks'));
create index scenarios_out_of_use on scenarios (slug) where current_version_id is null and incident_id is not null;
