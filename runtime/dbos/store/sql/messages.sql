-- load_destinations
-- The workflows among some IDs; their rows stay until the transaction ends, so that what refers to them can go in.
SELECT workflow_uuid FROM {schema}.workflow_status
 WHERE workflow_uuid = ANY(:ids) ORDER BY workflow_uuid FOR KEY SHARE

-- load_forks
-- Every fork of a workflow, and forks of forks.
WITH RECURSIVE fork AS (
    SELECT workflow_uuid FROM {schema}.workflow_status WHERE forked_from = :workflow_id
    UNION
    SELECT child.workflow_uuid FROM {schema}.workflow_status child JOIN fork ON child.forked_from = fork.workflow_uuid
)
SELECT workflow_uuid FROM fork WHERE workflow_uuid <> :workflow_id ORDER BY workflow_uuid

-- insert_messages
-- A message whose ID is there already is not sent again.
INSERT INTO {schema}.notifications (message_uuid, destination_uuid, topic, message, serialization)
SELECT message_uuid, destination_uuid, topic, message, serialization
  FROM json_to_recordset(:messages) AS r(
      message_uuid text, destination_uuid text, topic text, message text, serialization text)
 WHERE true  -- without it SQLite takes the conflict clause for a join
ON CONFLICT (message_uuid) DO NOTHING

-- insert_message
INSERT INTO {schema}.notifications (message_uuid, destination_uuid, topic, message, serialization)
VALUES (:message_uuid, :destination_uuid, :topic, :message, :serialization)
ON CONFLICT (message_uuid) DO NOTHING

-- load_unread
-- Whether a message waits.
SELECT 1 AS waits FROM {schema}.notifications
 WHERE destination_uuid = :workflow_id AND topic = :topic AND consumed = false LIMIT 1

-- oldest_first
-- Fragment: messages of one millisecond, such as those of one bulk, in the order in which they were stored.
ORDER BY created_at_epoch_ms, ctid

-- take_message
-- The workflow's row is locked: nobody else takes a message of it meanwhile.
UPDATE {schema}.notifications SET consumed = true, consumed_by_function_id = :function_id
 WHERE message_uuid = (
       SELECT message_uuid FROM {schema}.notifications
        WHERE destination_uuid = :workflow_id AND topic = :topic AND consumed = false
        {include oldest_first} LIMIT 1)
RETURNING message, serialization
