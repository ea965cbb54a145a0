-- eligible
-- Fragment: the rows of a queue that this executor may run. Rows without a version go to
-- the latest one (or to anybody while none is registered); rows of other applications are never touched.
-- CASE hides the version from the planner: of an OR it expects next to no rows, and reads and sorts a
-- backlog of thousands for each claim in place of the first rows of the index.
SELECT workflow_uuid, application_version, application_name, executor_id, workflow_deadline_epoch_ms
  FROM {schema}.workflow_status
 WHERE queue_name = :queue AND status = 'ENQUEUED'
   AND CASE WHEN application_version IS NULL THEN :version = COALESCE(
            (SELECT version_name FROM {schema}.application_versions
              WHERE application_name = :application OR application_name IS NULL
              ORDER BY version_timestamp DESC LIMIT 1), :version)
            ELSE application_version = :version END
   AND (application_name = :application OR application_name IS NULL)
   AND NOT concat_ws(chr(31), NULLIF(name, ''), NULLIF(class_name, ''), NULLIF(config_name, '')) = ANY(:skipped)

-- claimable
-- Fragment: the same, best first.
{include eligible} ORDER BY priority, created_at

-- load_eligible
{include eligible} AND (NOT :partitioned OR queue_partition_key IS NOT NULL) LIMIT 1

-- claimed
-- Fragment: takes the rows of next_up and gives back all that is needed to run them or to put them back.
-- The rows are locked, so they still are ENQUEUED. Saying so again would offer the planner a partial index
-- in place of the primary key: on a table without statistics it compares each claim with the whole queue.
-- LIMIT 1 keeps the look at inputs and steps to the rows that are taken: the planner neither joins them by a
-- hash of the whole table, nor hashes the whole table for an EXISTS.
-- The clock is read once, after the snapshot: now() is when the BEGIN arrived, which may be before the completion
-- that made room for the claim.
moment AS MATERIALIZED (
    SELECT (EXTRACT(epoch FROM clock_timestamp()) * 1000)::bigint AS ms
), claimed AS (
    UPDATE {schema}.workflow_status AS workflow
       SET status = 'PENDING', owner_xid = :owner, executor_id = :executor,
           application_version = :version, application_name = :application,
           started_at_epoch_ms = moment.ms, updated_at = moment.ms,
           recovery_attempts = COALESCE(workflow.recovery_attempts, 0) + 1, rate_limited = :rate_limited,
           workflow_deadline_epoch_ms = CASE
               WHEN workflow.workflow_timeout_ms IS NULL OR workflow.workflow_deadline_epoch_ms IS NOT NULL
               THEN workflow.workflow_deadline_epoch_ms
               ELSE LEAST(CAST(:now_ms AS numeric) + workflow.workflow_timeout_ms, 9223372036854775807)::bigint
           END
      FROM next_up CROSS JOIN moment
     WHERE workflow.workflow_uuid = next_up.workflow_uuid
    RETURNING workflow.*, next_up.application_version AS previous_version,
              next_up.application_name AS previous_application, next_up.executor_id AS previous_executor,
              next_up.workflow_deadline_epoch_ms AS previous_deadline
)
SELECT claimed.workflow_uuid, claimed.name, claimed.class_name, claimed.config_name, claimed.queue_name,
       claimed.serialization, claimed.recovery_attempts, claimed.workflow_deadline_epoch_ms,
       claimed.workflow_timeout_ms, claimed.created_at, claimed.delay_until_epoch_ms, claimed.started_at_epoch_ms,
       claimed.authenticated_user, claimed.authenticated_roles, claimed.parent_workflow_id,
       claimed.previous_version, claimed.previous_application, claimed.previous_executor,
       claimed.previous_deadline, claimed.queue_partition_key, COALESCE(
           (SELECT payload.inputs FROM {schema}.workflow_input payload
             WHERE payload.workflow_uuid = claimed.workflow_uuid LIMIT 1), claimed.inputs) AS inputs,
       claimed.attributes ->> 'dbos.otelContext' AS trace,
       (SELECT true FROM {schema}.operation_outputs step
         WHERE step.workflow_uuid = claimed.workflow_uuid LIMIT 1) IS NOT NULL AS replayed
  FROM claimed
 ORDER BY claimed.priority, claimed.created_at

-- claim_workflows
-- SKIP LOCKED lets executors claim side by side without waiting for each other.
WITH next_up AS MATERIALIZED (
    {include claimable} LIMIT :limit FOR UPDATE SKIP LOCKED
), {include claimed}

-- own_or_unclaimed
-- Fragment: what counts towards a limit of this application.
(application_name = :application OR application_name IS NULL)

-- turn
-- Fragment: executors that see different rows first (a new row of a higher priority, another version) would
-- not meet at a row, so each claim under a shared limit also writes the row of its queue, as it is: only one
-- of two that counted at once can.
turn AS (
    UPDATE {schema}.queues AS queue SET polling_interval_sec = queue.polling_interval_sec
      FROM (SELECT queue_id FROM {schema}.queues
             WHERE name = :queue AND EXISTS (SELECT 1 FROM next_up) FOR NO KEY UPDATE NOWAIT) AS held
     WHERE queue.queue_id = held.queue_id
)

-- shared_budget
-- Fragment: what the limits of the whole queue leave, at most :limit.
GREATEST(0, LEAST(:limit,
    CASE WHEN CAST(:concurrency AS int) IS NULL THEN :limit ELSE :concurrency - (
        SELECT count(*) FROM {schema}.workflow_status
         WHERE queue_name = :queue AND status = 'PENDING' AND {include own_or_unclaimed}) END,
    CASE WHEN CAST(:rate_limit AS int) IS NULL THEN :limit ELSE :rate_limit - (
        SELECT count(*) FROM {schema}.workflow_status
         WHERE queue_name = :queue AND rate_limited = true AND status NOT IN ('ENQUEUED', 'DELAYED')
           AND started_at_epoch_ms > (EXTRACT(epoch FROM now()) * 1000)::bigint - CAST(:rate_period_ms AS bigint)
           AND {include own_or_unclaimed}) END))

-- list_partitions
-- The next keys of a queue under which something waits: each is found by one look into the index, however
-- many rows it has.
WITH RECURSIVE waiting AS (
    (SELECT queue_partition_key FROM {schema}.workflow_status
      WHERE queue_name = :queue AND status = 'ENQUEUED' AND queue_partition_key IS NOT NULL
        AND queue_partition_key >= :after AND {include own_or_unclaimed}
      ORDER BY queue_partition_key LIMIT 1)
    UNION ALL
    SELECT (SELECT next.queue_partition_key FROM {schema}.workflow_status next
             WHERE next.queue_name = :queue AND next.status = 'ENQUEUED' AND next.queue_partition_key IS NOT NULL
               AND next.queue_partition_key > waiting.queue_partition_key
               AND (next.application_name = :application OR next.application_name IS NULL)
             ORDER BY next.queue_partition_key LIMIT 1)
      FROM waiting WHERE waiting.queue_partition_key IS NOT NULL
)
SELECT queue_partition_key FROM waiting WHERE queue_partition_key IS NOT NULL LIMIT :limit

-- partition_rows
-- Fragment: the rows of each lane, best first, as many as the lane has slots for. Of one millisecond the row
-- that was stored first comes first: the index would give them in the order of their IDs.
lane CROSS JOIN LATERAL (
    {include eligible} AND queue_partition_key = lane.key
     ORDER BY priority, created_at, ctid LIMIT GREATEST(lane.slots, 0)

-- claim_partitions
-- From lanes that only limits of this worker bound: their slots are given.
WITH lane AS MATERIALIZED (
    SELECT key, slots FROM unnest(CAST(:keys AS text[]), CAST(:slots AS int[])) WITH ORDINALITY AS given(key, slots, place)
     ORDER BY place
), next_up AS MATERIALIZED (
    SELECT candidate.* FROM {include partition_rows} FOR UPDATE SKIP LOCKED) AS candidate LIMIT :limit
), {include claimed}

-- claim_partitions_shared
-- From lanes with limits that all executors share; see claim_workflows_shared.
WITH lane AS MATERIALIZED (
    SELECT key, LEAST(slots,
        CASE WHEN CAST(:partition_concurrency AS int) IS NULL THEN slots ELSE :partition_concurrency - (
            SELECT count(*) FROM {schema}.workflow_status running
             WHERE running.queue_name = :queue AND running.status = 'PENDING' AND running.queue_partition_key = given.key
               AND (:everybody OR running.application_name = :application OR running.application_name IS NULL)) END,
        CASE WHEN CAST(:partition_rate_limit AS int) IS NULL THEN slots ELSE :partition_rate_limit - (
            SELECT count(*) FROM {schema}.workflow_status started
             WHERE started.queue_name = :queue AND started.rate_limited = true
               AND started.status NOT IN ('ENQUEUED', 'DELAYED') AND started.queue_partition_key = given.key
               AND started.started_at_epoch_ms
                   > (EXTRACT(epoch FROM now()) * 1000)::bigint - CAST(:partition_rate_period_ms AS bigint)
               AND (started.application_name = :application OR started.application_name IS NULL)) END) AS slots
      FROM unnest(CAST(:keys AS text[]), CAST(:slots AS int[])) WITH ORDINALITY AS given(key, slots, place)
     ORDER BY place
), next_up AS MATERIALIZED (
    SELECT candidate.* FROM {include partition_rows} FOR UPDATE NOWAIT) AS candidate WHERE lane.slots > 0
    LIMIT {include shared_budget}
), {include turn}, {include claimed}

-- claim_workflows_shared
-- Under a global concurrency or rate limit executors take turns: NOWAIT and REPEATABLE READ make the one
-- that counted on a stale snapshot fail, where SKIP LOCKED would let both admit a full budget.
WITH next_up AS MATERIALIZED (
    {include claimable} LIMIT {include shared_budget} FOR UPDATE NOWAIT
), {include turn}, {include claimed}

-- release_workflows
-- Puts claimed workflows back as they were before the claim; only while this claim still owns them.
WITH record AS MATERIALIZED (
    SELECT * FROM json_to_recordset(:records) AS r(
        workflow_uuid text, owner_xid text, application_version text, application_name text,
        executor_id text, workflow_deadline_epoch_ms bigint)
)
UPDATE {schema}.workflow_status AS workflow
   SET status = 'ENQUEUED', owner_xid = NULL, started_at_epoch_ms = NULL, rate_limited = false,
       recovery_attempts = workflow.recovery_attempts - 1,
       application_version = record.application_version, application_name = record.application_name,
       executor_id = record.executor_id, workflow_deadline_epoch_ms = record.workflow_deadline_epoch_ms,
       updated_at = (EXTRACT(epoch FROM now()) * 1000)::bigint
  FROM record
 WHERE workflow.workflow_uuid = record.workflow_uuid AND workflow.workflow_uuid = ANY(:ids)
   AND workflow.status = 'PENDING' AND workflow.owner_xid = record.owner_xid
RETURNING workflow.workflow_uuid

-- bury_workflow
-- A workflow that was started too often becomes a dead letter.
UPDATE {schema}.workflow_status
   SET status = 'MAX_RECOVERY_ATTEMPTS_EXCEEDED', owner_xid = NULL, deduplication_id = NULL,
       started_at_epoch_ms = NULL, queue_name = NULL,
       completed_at = (EXTRACT(epoch FROM now()) * 1000)::bigint,
       updated_at = (EXTRACT(epoch FROM now()) * 1000)::bigint
 WHERE workflow_uuid = :workflow_id AND status = 'PENDING' AND recovery_attempts >= :attempts
   AND owner_xid = :owner
RETURNING workflow_uuid

-- recover_workflows
-- What a former process of this executor ID left PENDING becomes runnable again, under its own version
-- only: a replay by other code is not safe. One statement, so no claim can slip between read and write.
WITH lost AS MATERIALIZED (
    SELECT workflow_uuid, owner_xid FROM {schema}.workflow_status
     WHERE status = 'PENDING' AND executor_id = ANY(:executors) AND application_version = :version
       AND NOT COALESCE({include process_of}, '') = ANY(:living)
       AND (application_name = :application OR application_name IS NULL)
     ORDER BY workflow_uuid FOR UPDATE
)
UPDATE {schema}.workflow_status AS workflow
   SET status = 'ENQUEUED', owner_xid = NULL, started_at_epoch_ms = NULL,
       queue_name = COALESCE(workflow.queue_name, :internal_queue),
       updated_at = (EXTRACT(epoch FROM now()) * 1000)::bigint
  FROM lost
 WHERE workflow.workflow_uuid = lost.workflow_uuid AND workflow.owner_xid IS NOT DISTINCT FROM lost.owner_xid
RETURNING workflow.workflow_uuid, workflow.queue_name

-- sweep_due_rows
-- Delays that are over and deadlines that have passed, at most 1,000 of each. One process of an
-- application does it at a time: the key is the one every DBOS SDK uses.
WITH turn AS MATERIALIZED (
    SELECT pg_try_advisory_xact_lock(:lock_key) AS mine
), expired AS MATERIALIZED (
    SELECT workflow_uuid FROM {schema}.workflow_status
     WHERE (SELECT mine FROM turn) AND workflow_deadline_epoch_ms <= :now_ms
       AND workflow_deadline_epoch_ms IS NOT NULL AND status IN ('ENQUEUED', 'PENDING', 'DELAYED')
       AND (application_name = :application OR application_name IS NULL)
     ORDER BY workflow_deadline_epoch_ms LIMIT 1000 FOR UPDATE SKIP LOCKED
), cancelled AS (
    UPDATE {schema}.workflow_status AS workflow
       SET status = 'CANCELLED', owner_xid = NULL, queue_name = NULL, deduplication_id = NULL,
           started_at_epoch_ms = NULL, completed_at = (EXTRACT(epoch FROM now()) * 1000)::bigint,
           updated_at = (EXTRACT(epoch FROM now()) * 1000)::bigint
      FROM expired WHERE workflow.workflow_uuid = expired.workflow_uuid
    RETURNING workflow.workflow_uuid
), due AS MATERIALIZED (
    SELECT workflow_uuid FROM {schema}.workflow_status
     WHERE (SELECT mine FROM turn) AND status = 'DELAYED' AND delay_until_epoch_ms <= :now_ms
       AND (workflow_deadline_epoch_ms IS NULL OR workflow_deadline_epoch_ms > :now_ms)
       AND (application_name = :application OR application_name IS NULL)
     ORDER BY delay_until_epoch_ms LIMIT 1000 FOR UPDATE SKIP LOCKED
), woken AS (
    UPDATE {schema}.workflow_status AS workflow
       SET status = 'ENQUEUED',
           deduplication_id = CASE WHEN workflow.is_debounced THEN NULL ELSE workflow.deduplication_id END
      FROM due WHERE workflow.workflow_uuid = due.workflow_uuid
    RETURNING workflow.queue_name
)
SELECT ARRAY(SELECT workflow_uuid FROM cancelled) AS cancelled, count(*) AS woken,
       COALESCE(array_agg(DISTINCT queue_name), ARRAY[]::text[]) AS queues
  FROM woken
