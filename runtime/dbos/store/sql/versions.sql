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

-- versions
-- Fragment: the versions of an application and those that nobody owns, the latest first; every version for
-- who names no application.
SELECT version_id, version_name, version_timestamp, created_at, application_name
  FROM {schema}.application_versions
 WHERE CAST(:application AS text) IS NULL OR application_name = :application OR application_name IS NULL
 ORDER BY version_timestamp DESC

-- load_versions
{include versions}

-- load_latest_version
{include versions} LIMIT 1

-- promote_version
-- Only its time moves: what the version owns stays, and a version of nobody becomes the caller's. It becomes the
-- latest, also where another was made that in the same millisecond, or by a clock that is ahead.
UPDATE {schema}.application_versions
   SET version_timestamp = (
           SELECT max(moment) FROM (
               SELECT CAST(:now_ms AS bigint) AS moment
                UNION ALL
               SELECT other.version_timestamp + 1 FROM {schema}.application_versions other
                WHERE other.version_name <> :version
                  AND (CAST(:application AS text) IS NULL OR other.application_name = :application
                       OR other.application_name IS NULL)) AS moments),
       application_name = COALESCE(application_name, :application)
 WHERE version_name = :version
   AND (CAST(:application AS text) IS NULL OR application_name = :application OR application_name IS NULL)
RETURNING version_id

-- rename_queues
UPDATE {schema}.queues SET application_name = :new_name
 WHERE application_name = :old_name OR (:adopt AND application_name IS NULL)
RETURNING queue_id

-- rename_schedules
UPDATE {schema}.workflow_schedules SET application_name = :new_name
 WHERE application_name = :old_name OR (:adopt AND application_name IS NULL)
RETURNING schedule_id

-- rename_versions
UPDATE {schema}.application_versions SET application_name = :new_name
 WHERE application_name = :old_name OR (:adopt AND application_name IS NULL)
RETURNING version_id

-- rename_workflows
-- At most :batch rows at a time, so that no lock is held for long.
UPDATE {schema}.workflow_status SET application_name = :new_name
 WHERE workflow_uuid IN (
       SELECT workflow_uuid FROM {schema}.workflow_status
        WHERE application_name = :old_name OR (:adopt AND application_name IS NULL)
        LIMIT :batch)
RETURNING workflow_uuid

-- rename_steps
UPDATE {schema}.operation_outputs SET application_name = :new_name
 WHERE (workflow_uuid, function_id) IN (
       SELECT workflow_uuid, function_id FROM {schema}.operation_outputs
        WHERE application_name = :old_name OR (:adopt AND application_name IS NULL)
        LIMIT :batch)
RETURNING function_id
