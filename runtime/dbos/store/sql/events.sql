-- put_event
INSERT INTO {schema}.workflow_events (workflow_uuid, key, value, serialization)
VALUES (:workflow_id, :key, :value, :serialization)
ON CONFLICT (workflow_uuid, key) DO UPDATE SET value = excluded.value, serialization = excluded.serialization

-- put_event_history
-- What a fork or a rewind finds as the event's value at a step.
INSERT INTO {schema}.workflow_events_history (workflow_uuid, function_id, key, value, serialization)
VALUES (:workflow_id, :function_id, :key, :value, :serialization)
ON CONFLICT (workflow_uuid, function_id, key) DO UPDATE
   SET value = excluded.value, serialization = excluded.serialization

-- load_event
SELECT value, serialization FROM {schema}.workflow_events WHERE workflow_uuid = :workflow_id AND key = :key

-- load_events
SELECT key, value, serialization FROM {schema}.workflow_events WHERE workflow_uuid = :workflow_id ORDER BY key
