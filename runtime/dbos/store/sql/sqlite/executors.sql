-- write_heartbeat
INSERT INTO dbos_runtime.executors AS known ({include executor_columns})
VALUES ({include executor_values})
{include heartbeat_noted}

-- list_suspects
-- There are no locks here that a connection holds: what tells is whether a process runs, and heartbeats.
SELECT :heartbeat_ms - :steady_since_ms AS steady_ms, other.process_token, other.executor_id, other.host,
       other.pid, other.machine, other.process_started, other.heartbeat_ms, other.grace_ms, other.lease_ms,
       :heartbeat_ms - other.heartbeat_ms AS silent_ms, other.gone_ms, :heartbeat_ms - other.gone_ms AS gone_for_ms,
       NULL AS locked
  FROM (SELECT 1) LEFT JOIN dbos_runtime.executors AS other
    ON other.system_schema = :system_schema AND other.application = :application
   AND other.process_token <> :process_token
   AND (other.machine = :machine OR :heartbeat_ms - other.heartbeat_ms >= other.grace_ms
        OR other.gone_ms IS NOT NULL OR (:closely AND other.executor_id = :executor_id))

-- mark_gone
UPDATE dbos_runtime.executors AS known
   SET gone_ms = COALESCE(known.gone_ms, {include database_ms})
  FROM json_to_recordset(:seen) AS seen(process_token text, heartbeat_ms bigint, gone_ms bigint)
 WHERE known.system_schema = :system_schema AND known.process_token = seen.process_token
   AND known.heartbeat_ms = seen.heartbeat_ms AND known.gone_ms IS NOT DISTINCT FROM seen.gone_ms
RETURNING process_token

-- list_left_behind
SELECT workflow_uuid, COALESCE(queue_name, :internal_queue) AS queue_name, {include process_of} AS process_token
  FROM workflow_status WHERE status = 'PENDING' AND {include process_of} = ANY(:processes)

-- recover_chosen
UPDATE workflow_status
   SET status = 'ENQUEUED', owner_xid = NULL, started_at_epoch_ms = NULL,
       queue_name = COALESCE(queue_name, :internal_queue), updated_at = {include database_ms}
 WHERE {include chosen}
