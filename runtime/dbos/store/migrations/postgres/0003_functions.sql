-- What any SQL client may call: enqueue a workflow, send a message. Names, order and defaults of the
-- parameters are the interface; SDKs in every language and hand-written SQL rely on them.
-- {body} is a quoting tag that the name of the schema does not contain.

CREATE OR REPLACE FUNCTION {schema}.enqueue_workflow(
    workflow_name TEXT,
    queue_name TEXT,
    positional_args JSON[] DEFAULT ARRAY[]::JSON[],
    named_args JSON DEFAULT '{}'::JSON,
    class_name TEXT DEFAULT NULL,
    config_name TEXT DEFAULT NULL,
    workflow_id TEXT DEFAULT NULL,
    app_version TEXT DEFAULT NULL,
    timeout_ms BIGINT DEFAULT NULL,
    deadline_epoch_ms BIGINT DEFAULT NULL,
    deduplication_id TEXT DEFAULT NULL,
    priority INTEGER DEFAULT NULL,
    queue_partition_key TEXT DEFAULT NULL,
    authenticated_user TEXT DEFAULT NULL,
    authenticated_roles TEXT DEFAULT NULL,
    delay_until_epoch_ms BIGINT DEFAULT NULL,
    application_name TEXT DEFAULT NULL
) RETURNS TEXT
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS {body}
-- Parameters share their names with columns: where both are in reach, the parameter is meant.
#variable_conflict use_variable
DECLARE
    id TEXT := COALESCE(workflow_id, gen_random_uuid()::text);
BEGIN
    IF COALESCE(workflow_name, '') = '' THEN
        RAISE EXCEPTION 'workflow_name must be given and not be empty';
    ELSIF COALESCE(queue_name, '') = '' THEN
        RAISE EXCEPTION 'queue_name must be given and not be empty';
    ELSIF json_typeof(named_args) <> 'object' THEN
        RAISE EXCEPTION 'named_args must be a JSON object, not %', json_typeof(named_args);
    ELSIF workflow_id = '' THEN
        RAISE EXCEPTION 'workflow_id must not be empty; leave it out to get a random one';
    ELSIF delay_until_epoch_ms < 0 THEN
        RAISE EXCEPTION 'delay_until_epoch_ms must be 0 or more, not %', delay_until_epoch_ms;
    END IF;

    INSERT INTO {schema}.workflow_status AS workflow (
        workflow_uuid, status, name, class_name, config_name, queue_name, application_version,
        application_name, recovery_attempts, workflow_timeout_ms, workflow_deadline_epoch_ms,
        deduplication_id, priority, queue_partition_key, authenticated_user, authenticated_roles,
        delay_until_epoch_ms, serialization, owner_xid
    ) VALUES (
        id, CASE WHEN delay_until_epoch_ms IS NULL THEN 'ENQUEUED' ELSE 'DELAYED' END,
        workflow_name, class_name, config_name, queue_name, app_version,
        application_name, 0, timeout_ms, deadline_epoch_ms,
        deduplication_id, COALESCE(priority, 0), queue_partition_key, authenticated_user, authenticated_roles,
        delay_until_epoch_ms, 'portable_json', gen_random_uuid()::text
    )
    -- An ID that exists keeps its row: the call attaches to it.
    ON CONFLICT (workflow_uuid) DO UPDATE
        SET updated_at = (EXTRACT(epoch FROM now()) * 1000.0)::bigint;

    INSERT INTO {schema}.workflow_input (workflow_uuid, inputs)
    VALUES (id, json_build_object('positionalArgs', positional_args, 'namedArgs', named_args)::text)
    ON CONFLICT DO NOTHING;

    RETURN id;
EXCEPTION WHEN unique_violation THEN
    RAISE EXCEPTION 'DBOS queue duplicated' USING
        ERRCODE = 'unique_violation',
        DETAIL = format('Workflow %s with queue %s and deduplication ID %s already exists',
                        id, queue_name, deduplication_id);
END;
{body};

CREATE OR REPLACE FUNCTION {schema}.send_message(
    destination_id TEXT,
    message JSON,
    topic TEXT DEFAULT NULL,
    message_id TEXT DEFAULT NULL
) RETURNS VOID
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS {body}
#variable_conflict use_variable
BEGIN
    -- A message without a topic has a topic of that name: waiters listen for it, and NULL wakes nobody.
    INSERT INTO {schema}.notifications (message_uuid, destination_uuid, topic, message, serialization)
    VALUES (
        COALESCE(message_id, gen_random_uuid()::text), destination_id,
        COALESCE(topic, '__null__topic__'), message::text, 'portable_json'
    )
    ON CONFLICT (message_uuid) DO NOTHING;
EXCEPTION WHEN foreign_key_violation THEN
    RAISE EXCEPTION 'DBOS non-existent workflow' USING
        ERRCODE = 'foreign_key_violation',
        DETAIL = format('There is no workflow with the ID %s', destination_id);
END;
{body};
