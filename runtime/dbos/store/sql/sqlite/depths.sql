-- find_refusals
SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'dbos_runtime_refusals') AS there
