-- see_executors
INSERT INTO dbos_operator.executors AS known (
    system_schema, cluster_id, namespace, executor_id, pod_uid, target_kind, target_name, selector, template, version,
    seen_at_ms, gone_since_ms)
SELECT :system_schema, cluster_id, namespace, executor_id, pod_uid, target_kind, target_name, selector, template,
       version, seen_at_ms, NULL
  FROM json_to_recordset(CAST(:rows AS json))
    AS seen(cluster_id text, namespace text, executor_id text, pod_uid text, target_kind text, target_name text,
            selector jsonb, template text, version text, seen_at_ms bigint)
 ORDER BY cluster_id, namespace, executor_id
ON CONFLICT (system_schema, cluster_id, namespace, executor_id) DO UPDATE
   SET pod_uid = excluded.pod_uid, target_kind = excluded.target_kind, target_name = excluded.target_name,
       selector = excluded.selector, template = excluded.template, version = excluded.version,
       seen_at_ms = excluded.seen_at_ms, gone_since_ms = NULL
RETURNING namespace, executor_id

-- lose_executors
UPDATE dbos_operator.executors AS known
   SET gone_since_ms = lost.since_ms
  FROM json_to_recordset(CAST(:rows AS json))
    AS lost(cluster_id text, namespace text, executor_id text, pod_uid text, since_ms bigint)
 WHERE known.system_schema = :system_schema AND known.cluster_id = lost.cluster_id
   AND known.namespace = lost.namespace AND known.executor_id = lost.executor_id
   AND known.pod_uid = lost.pod_uid AND known.gone_since_ms IS NULL
RETURNING known.namespace, known.executor_id

-- forget_executors
DELETE FROM dbos_operator.executors AS known
 USING json_to_recordset(CAST(:rows AS json))
    AS gone(cluster_id text, namespace text, executor_id text, pod_uid text)
 WHERE known.system_schema = :system_schema AND known.cluster_id = gone.cluster_id
   AND known.namespace = gone.namespace AND known.executor_id = gone.executor_id
   AND known.pod_uid = gone.pod_uid AND known.gone_since_ms IS NOT NULL
RETURNING known.namespace, known.executor_id
