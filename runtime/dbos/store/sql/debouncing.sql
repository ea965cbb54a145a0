-- extend_debounced
-- Puts off the workflow that waits under a debouncer's key, at most until its deadline.
UPDATE {schema}.workflow_status
   SET delay_until_epoch_ms = CASE
           WHEN debounce_deadline_epoch_ms < :delay_until_ms THEN debounce_deadline_epoch_ms ELSE :delay_until_ms END,
       serialization = :serialization, updated_at = (EXTRACT(epoch FROM now()) * 1000)::bigint,
       application_name = COALESCE(application_name, :application)
 WHERE queue_name = :queue AND deduplication_id = :key AND name = :name AND status = 'DELAYED' AND is_debounced
   AND (CAST(:application AS text) IS NULL OR application_name = :application OR application_name IS NULL)
RETURNING workflow_uuid

-- replace_inputs
INSERT INTO {schema}.workflow_input (workflow_uuid, inputs) VALUES (:workflow_id, :inputs)
ON CONFLICT (workflow_uuid) DO UPDATE SET inputs = excluded.inputs

-- load_key_holder
SELECT workflow_uuid, is_debounced, name, application_name
  FROM {schema}.workflow_status WHERE queue_name = :queue AND deduplication_id = :key
