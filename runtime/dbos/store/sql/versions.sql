-- claim_version
-- A version that nobody owns becomes this application's.
UPDATE {schema}.application_versions SET application_name = :application
 WHERE version_name = :version AND application_name IS NULL
RETURNING version_id

-- insert_version
-- No conflict target: the constraint on the name alone is being retired, and both indexes count.
INSERT INTO {schema}.application_versions (version_id, version_name, application_name)
VALUES (:version_id, :version, :application)
ON CONFLICT DO NOTHING
RETURNING version_id

-- load_version_owner
SELECT application_name FROM {schema}.application_versions WHERE version_name = :version

-- load_latest_version
SELECT version_name FROM {schema}.application_versions
 WHERE application_name = :application OR application_name IS NULL
 ORDER BY version_timestamp DESC LIMIT 1
