-- process_of
-- Fragment: the process that runs a workflow: the first half of its owner token.
substr(owner_xid, 1, 18)

-- executor_columns
-- Fragment: what a process says of itself.
system_schema, process_token, application, executor_id, version, host, pid, machine, process_started, lock_key,
grace_ms, lease_ms, started_ms, heartbeat_ms, steady_since_ms

-- executor_values
-- Fragment: the same, at its first heartbeat.
:system_schema, :process_token, :application, :executor_id, :version, :host, :pid, :machine, :process_started,
:lock_key, :grace_ms, :lease_ms, {include database_ms}, {include database_ms}, {include database_ms}

-- heartbeat_noted
-- Fragment: a heartbeat after a gap, or after the process was taken for gone, begins a new steady time.
ON CONFLICT (system_schema, process_token) DO UPDATE
   SET heartbeat_ms = excluded.heartbeat_ms, gone_ms = NULL,
       steady_since_ms = CASE
           WHEN known.gone_ms IS NULL AND excluded.heartbeat_ms - known.heartbeat_ms <= known.grace_ms
           THEN known.steady_since_ms ELSE excluded.heartbeat_ms END
RETURNING heartbeat_ms, steady_since_ms

-- note_heartbeat
-- Says that this process lives, and lists the others that may not: those that were silent, those of which it
-- can be seen whether they run, those that are gone. Whether a lock is held is looked at for the silent only,
-- unless a close look is asked for.
-- One row without a process stands for nobody.
WITH noted AS (
    INSERT INTO dbos_runtime.executors AS known ({include executor_columns})
    VALUES ({include executor_values})
    {include heartbeat_noted}
)
SELECT noted.heartbeat_ms - noted.steady_since_ms AS steady_ms, other.process_token, other.executor_id, other.host,
       other.pid, other.machine, other.process_started, other.heartbeat_ms, other.grace_ms, other.lease_ms,
       noted.heartbeat_ms - other.heartbeat_ms AS silent_ms, other.gone_ms,
       noted.heartbeat_ms - other.gone_ms AS gone_for_ms,
       CASE WHEN other.lock_key IS NOT NULL
                 AND (:closely OR noted.heartbeat_ms - other.heartbeat_ms >= other.grace_ms)
            THEN EXISTS (
                SELECT 1 FROM pg_locks
                 WHERE locktype = 'advisory' AND granted AND objsubid = 1
                   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                   AND classid = (other.lock_key >> 32)::oid AND objid = (other.lock_key & 4294967295)::oid)
       END AS locked
  FROM noted LEFT JOIN dbos_runtime.executors AS other
    ON other.system_schema = :system_schema AND other.application = :application
   AND other.process_token <> :process_token
   AND (other.machine = :machine OR noted.heartbeat_ms - other.heartbeat_ms >= other.grace_ms
        OR other.gone_ms IS NOT NULL OR (:closely AND other.executor_id = :executor_id))

-- take_over
-- Marks processes as gone that have not been heard since they were looked at, and makes runnable again what
-- they left: back to its queue, or to the internal one, with attempts and version as they are. A row that
-- somebody holds at this moment is left for the second look.
WITH dead AS (
    UPDATE dbos_runtime.executors AS known
       SET gone_ms = COALESCE(known.gone_ms, {include database_ms})
      FROM json_to_recordset(:seen) AS seen(process_token text, heartbeat_ms bigint, gone_ms bigint)
     WHERE known.system_schema = :system_schema AND known.process_token = seen.process_token
       AND known.heartbeat_ms = seen.heartbeat_ms AND known.gone_ms IS NOT DISTINCT FROM seen.gone_ms
    RETURNING known.process_token
), lost AS MATERIALIZED (
    SELECT workflow.workflow_uuid, dead.process_token
      FROM dead JOIN {schema}.workflow_status AS workflow ON {include process_of} = dead.process_token
     WHERE workflow.status = 'PENDING'
     ORDER BY workflow.workflow_uuid FOR UPDATE OF workflow SKIP LOCKED
), recovered AS (
    UPDATE {schema}.workflow_status AS workflow
       SET status = 'ENQUEUED', owner_xid = NULL, started_at_epoch_ms = NULL,
           queue_name = COALESCE(workflow.queue_name, :internal_queue), updated_at = {include database_ms}
      FROM lost WHERE workflow.workflow_uuid = lost.workflow_uuid
    RETURNING lost.process_token, workflow.workflow_uuid, workflow.queue_name
)
SELECT process_token, workflow_uuid, queue_name FROM dead LEFT JOIN recovered USING (process_token)

-- forget_gone
-- Nobody needs a process that left nothing behind.
DELETE FROM dbos_runtime.executors AS known
 WHERE system_schema = :system_schema AND process_token = ANY(:processes) AND gone_ms IS NOT NULL
   AND NOT EXISTS (SELECT 1 FROM {schema}.workflow_status
                    WHERE status = 'PENDING' AND {include process_of} = known.process_token)
RETURNING process_token

-- load_left_behind
SELECT workflow_uuid FROM {schema}.workflow_status
 WHERE status = 'PENDING' AND {include process_of} = :process_token LIMIT 1

-- leave_work
-- What still runs here is for others, at once: no heartbeat is as old as this one.
UPDATE dbos_runtime.executors SET heartbeat_ms = 0
 WHERE system_schema = :system_schema AND process_token = :process_token
RETURNING process_token

-- leave_nothing
DELETE FROM dbos_runtime.executors
 WHERE system_schema = :system_schema AND process_token = :process_token
RETURNING process_token
