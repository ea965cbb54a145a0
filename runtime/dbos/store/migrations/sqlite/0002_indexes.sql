-- Later migrations of every SDK find indexes by these names.
CREATE INDEX workflow_status_created_at_index ON workflow_status (created_at);
CREATE UNIQUE INDEX uq_workflow_status_dedup_id ON workflow_status (queue_name, deduplication_id)
    WHERE deduplication_id IS NOT NULL;
CREATE INDEX idx_workflow_status_in_flight_v2
    ON workflow_status (queue_name, status, priority, created_at, application_name)
    WHERE status IN ('ENQUEUED', 'PENDING');
CREATE INDEX idx_workflow_status_partition_dequeue_v3
    ON workflow_status
       (queue_name, status, queue_partition_key, priority, created_at, workflow_uuid, application_name)
    WHERE status IN ('ENQUEUED', 'PENDING') AND queue_partition_key IS NOT NULL;
CREATE INDEX idx_workflow_status_pending ON workflow_status (created_at) WHERE status = 'PENDING';
CREATE INDEX idx_workflow_status_failed ON workflow_status (status, created_at)
    WHERE status IN ('ERROR', 'CANCELLED', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED');
CREATE INDEX idx_workflow_status_rate_limited ON workflow_status (queue_name, started_at_epoch_ms)
    WHERE rate_limited = TRUE;
CREATE INDEX idx_workflow_status_delayed ON workflow_status (delay_until_epoch_ms) WHERE status = 'DELAYED';
CREATE INDEX idx_workflow_status_deadline ON workflow_status (workflow_deadline_epoch_ms)
    WHERE status IN ('ENQUEUED', 'PENDING', 'DELAYED') AND workflow_deadline_epoch_ms IS NOT NULL;
CREATE INDEX idx_workflow_status_completed_at ON workflow_status (completed_at) WHERE completed_at IS NOT NULL;
CREATE INDEX idx_workflow_status_started_at ON workflow_status (started_at_epoch_ms)
    WHERE started_at_epoch_ms IS NOT NULL;
CREATE INDEX idx_workflow_status_forked_from ON workflow_status (forked_from) WHERE forked_from IS NOT NULL;
CREATE INDEX idx_workflow_status_parent_workflow_id ON workflow_status (parent_workflow_id)
    WHERE parent_workflow_id IS NOT NULL;
CREATE INDEX idx_workflow_status_schedule_name ON workflow_status (schedule_name) WHERE schedule_name IS NOT NULL;
CREATE INDEX idx_operation_outputs_completed_at_function_name_v2
    ON operation_outputs (completed_at_epoch_ms, function_name, application_name);
CREATE INDEX idx_operation_outputs_retention ON operation_outputs (retention_timestamp);
CREATE INDEX idx_workflow_input_retention ON workflow_input (retention_timestamp);
CREATE INDEX idx_workflow_output_retention ON workflow_output (retention_timestamp);
CREATE INDEX idx_workflow_topic ON notifications (destination_uuid, topic);
CREATE UNIQUE INDEX uq_application_versions_owner_version ON application_versions (application_name, version_name)
    WHERE application_name IS NOT NULL;
CREATE UNIQUE INDEX uq_application_versions_unclaimed_version ON application_versions (version_name)
    WHERE application_name IS NULL;
CREATE INDEX idx_application_versions_timestamp ON application_versions (version_timestamp DESC);
CREATE INDEX idx_application_versions_owner_timestamp
    ON application_versions (application_name, version_timestamp DESC);
