-- append_to_stream
-- At the next offset; nothing when another writer of the stream took it at the same moment.
INSERT INTO {schema}.streams (workflow_uuid, key, "offset", value, function_id, serialization)
SELECT :workflow_id, :key, COALESCE(max("offset"), -1) + 1, :value, :function_id, :serialization
  FROM {schema}.streams WHERE workflow_uuid = :workflow_id AND key = :key
ON CONFLICT (workflow_uuid, key, "offset") DO NOTHING
RETURNING "offset"

-- load_stream
-- Status and values as of one moment: when the workflow has ended, these are all the values it wrote.
SELECT workflow.status, stream."offset", stream.value, stream.serialization
  FROM {schema}.workflow_status workflow
  LEFT JOIN (SELECT "offset", value, serialization FROM {schema}.streams
              WHERE workflow_uuid = :workflow_id AND key = :key AND "offset" >= :offset
              ORDER BY "offset" LIMIT :limit) AS stream ON true
 WHERE workflow.workflow_uuid = :workflow_id
 ORDER BY stream."offset"
