-- eligible
-- Fragment: the rows of a queue that this executor may run. Repeating `status IN (…)` beside the
-- equality lets the planner take the partial index.
SELECT workflow_uuid, application_version AS previous_version, application_name AS previous_application,
       executor_id AS previous_executor, workflow_deadline_epoch_ms AS previous_deadline
  FROM workflow_status
 WHERE queue_name = :queue AND status = 'ENQUEUED' AND status IN ('ENQUEUED', 'PENDING')
   AND (application_version = :version
        OR (application_version IS NULL AND :version = COALESCE(
            (SELECT version_name FROM application_versions
              WHERE application_name = :application OR application_name IS NULL
              ORDER BY version_timestamp DESC LIMIT 1), :version)))
   AND (application_name = :application OR application_name IS NULL)
   AND NOT (COALESCE(name, '') || CASE WHEN COALESCE(class_name, '') = '' THEN '' ELSE char(31) || class_name END
            || CASE WHEN COALESCE(config_name, '') = '' THEN '' ELSE char(31) || config_name END)
           IN (SELECT value FROM json_each(:skipped))

-- claimable
-- Fragment: the same, best first.
{include eligible} ORDER BY priority, created_at, rowid

-- load_lane
-- The rows of one partition, best first.
{include eligible} AND queue_partition_key = :key ORDER BY priority, created_at, rowid LIMIT :limit

-- load_lane_budget
-- What the limits of each partition leave of one.
SELECT CASE WHEN :partition_concurrency IS NULL THEN NULL ELSE :partition_concurrency - (
           SELECT count(*) FROM workflow_status
            WHERE queue_name = :queue AND status = 'PENDING' AND status IN ('ENQUEUED', 'PENDING')
              AND queue_partition_key = :key
              AND (:everybody OR application_name = :application OR application_name IS NULL)) END AS slots,
       CASE WHEN :partition_rate_limit IS NULL THEN NULL ELSE :partition_rate_limit - (
           SELECT count(*) FROM workflow_status
            WHERE queue_name = :queue AND rate_limited = TRUE AND status NOT IN ('ENQUEUED', 'DELAYED')
              AND queue_partition_key = :key
              AND started_at_epoch_ms > (EXTRACT(epoch FROM now()) * 1000)::bigint - :partition_rate_period_ms
              AND (application_name = :application OR application_name IS NULL)) END AS starts

-- list_partitions
SELECT DISTINCT queue_partition_key FROM workflow_status
 WHERE queue_name = :queue AND status = 'ENQUEUED' AND status IN ('ENQUEUED', 'PENDING')
   AND queue_partition_key IS NOT NULL AND queue_partition_key >= :after
   AND (application_name = :application OR application_name IS NULL)
 ORDER BY queue_partition_key LIMIT :limit

-- load_claimable
{include claimable} LIMIT :limit

-- load_shared_budget
-- Every writer waits for the others, so what is counted here is still so when the rows are taken.
SELECT CASE WHEN :concurrency IS NULL THEN NULL ELSE :concurrency - (
           SELECT count(*) FROM workflow_status
            WHERE queue_name = :queue AND status = 'PENDING' AND status IN ('ENQUEUED', 'PENDING')
              AND (application_name = :application OR application_name IS NULL)) END AS slots,
       CASE WHEN :rate_limit IS NULL THEN NULL ELSE :rate_limit - (
           SELECT count(*) FROM workflow_status
            WHERE queue_name = :queue AND rate_limited = TRUE AND status NOT IN ('ENQUEUED', 'DELAYED')
              AND started_at_epoch_ms > (EXTRACT(epoch FROM now()) * 1000)::bigint - :rate_period_ms
              AND (application_name = :application OR application_name IS NULL)) END AS starts

-- take_workflows
UPDATE workflow_status
   SET status = 'PENDING', owner_xid = :owner, executor_id = :executor,
       application_version = :version, application_name = :application,
       started_at_epoch_ms = (EXTRACT(epoch FROM now()) * 1000)::bigint,
       updated_at = (EXTRACT(epoch FROM now()) * 1000)::bigint,
       recovery_attempts = COALESCE(recovery_attempts, 0) + 1, rate_limited = :rate_limited,
       workflow_deadline_epoch_ms = CASE
           WHEN workflow_timeout_ms IS NULL OR workflow_deadline_epoch_ms IS NOT NULL
           THEN workflow_deadline_epoch_ms
           ELSE CASE WHEN :now_ms > 9223372036854775807 - workflow_timeout_ms THEN 9223372036854775807
                     ELSE :now_ms + workflow_timeout_ms END
       END
 WHERE workflow_uuid = ANY(:ids)

-- load_claimed
SELECT claimed.*, COALESCE(payload.inputs, claimed.inputs) AS inputs,
       CASE WHEN json_valid(claimed.attributes) THEN json_extract(claimed.attributes, '$."dbos.otelContext"') END AS trace,
       EXISTS (SELECT 1 FROM operation_outputs step WHERE step.workflow_uuid = claimed.workflow_uuid) AS replayed
  FROM workflow_status claimed LEFT JOIN workflow_input payload ON payload.workflow_uuid = claimed.workflow_uuid
 WHERE claimed.workflow_uuid = ANY(:ids)

-- cancel_expired
UPDATE workflow_status
   SET status = 'CANCELLED', owner_xid = NULL, queue_name = NULL, deduplication_id = NULL,
       started_at_epoch_ms = NULL, completed_at = (EXTRACT(epoch FROM now()) * 1000)::bigint,
       updated_at = (EXTRACT(epoch FROM now()) * 1000)::bigint
 WHERE workflow_uuid IN (
       SELECT workflow_uuid FROM workflow_status
        WHERE workflow_deadline_epoch_ms <= :now_ms AND workflow_deadline_epoch_ms IS NOT NULL
          AND status IN ('ENQUEUED', 'PENDING', 'DELAYED')
          AND (application_name = :application OR application_name IS NULL)
        ORDER BY workflow_deadline_epoch_ms LIMIT 1000)
RETURNING workflow_uuid

-- wake_delayed
UPDATE workflow_status
   SET status = 'ENQUEUED', deduplication_id = CASE WHEN is_debounced THEN NULL ELSE deduplication_id END
 WHERE workflow_uuid IN (
       SELECT workflow_uuid FROM workflow_status
        WHERE status = 'DELAYED' AND delay_until_epoch_ms <= :now_ms
          AND (application_name = :application OR application_name IS NULL)
        ORDER BY delay_until_epoch_ms LIMIT 1000)
RETURNING queue_name

-- anything_due
-- Looked at before the lock of the sweep is taken: nearly always nothing is.
SELECT 1 FROM workflow_status
 WHERE status IN ('ENQUEUED', 'PENDING', 'DELAYED') AND workflow_deadline_epoch_ms IS NOT NULL
   AND workflow_deadline_epoch_ms <= :now_ms AND (application_name = :application OR application_name IS NULL)
UNION ALL
SELECT 1 FROM workflow_status
 WHERE status = 'DELAYED' AND delay_until_epoch_ms <= :now_ms
   AND (application_name = :application OR application_name IS NULL)
 LIMIT 1

-- recover_workflows
UPDATE workflow_status
   SET status = 'ENQUEUED', owner_xid = NULL, started_at_epoch_ms = NULL,
       queue_name = COALESCE(queue_name, :internal_queue),
       updated_at = (EXTRACT(epoch FROM now()) * 1000)::bigint
 WHERE status = 'PENDING' AND executor_id = ANY(:executors) AND application_version = :version
   AND NOT COALESCE({include process_of}, '') = ANY(:living)
   AND (application_name = :application OR application_name IS NULL)
RETURNING workflow_uuid, queue_name

-- release_workflow
UPDATE workflow_status
   SET status = 'ENQUEUED', owner_xid = NULL, started_at_epoch_ms = NULL, rate_limited = FALSE,
       recovery_attempts = recovery_attempts - 1, application_version = :application_version,
       application_name = :application_name, executor_id = :executor_id,
       workflow_deadline_epoch_ms = :workflow_deadline_epoch_ms,
       updated_at = (EXTRACT(epoch FROM now()) * 1000)::bigint
 WHERE workflow_uuid = :workflow_uuid AND status = 'PENDING' AND owner_xid = :owner_xid
RETURNING workflow_uuid
