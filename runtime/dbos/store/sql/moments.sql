-- load_next_moment
-- When the next delay of an application is over, or the next deadline has passed, after a time.
SELECT min(moment) AS moment FROM (
    SELECT min(delay_until_epoch_ms) AS moment FROM {schema}.workflow_status
     WHERE status = 'DELAYED' AND delay_until_epoch_ms > :after
       AND (application_name = :application OR application_name IS NULL)
    UNION ALL
    SELECT min(workflow_deadline_epoch_ms) FROM {schema}.workflow_status
     WHERE workflow_deadline_epoch_ms > :after AND workflow_deadline_epoch_ms IS NOT NULL
       AND status IN ('ENQUEUED', 'PENDING', 'DELAYED')
       AND (application_name = :application OR application_name IS NULL)
) AS next_moment
