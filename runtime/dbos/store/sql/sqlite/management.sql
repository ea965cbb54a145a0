-- load_attributes
SELECT attributes FROM workflow_status WHERE workflow_uuid = :workflow_id

-- replace_attributes
UPDATE workflow_status SET attributes = :attributes, updated_at = {include database_ms}
 WHERE workflow_uuid = :workflow_id
RETURNING workflow_uuid
