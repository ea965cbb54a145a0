-- hold_duty
-- Takes a duty that nobody holds any more, or goes on holding it; no row while somebody else does.
-- The row is locked before the condition is read, so of processes that ask at once one gets it.
INSERT INTO dbos_runtime.duties AS duty (system_schema, application, duty, holder, until_ms)
VALUES (:system_schema, :application, :duty, :holder, (EXTRACT(epoch FROM now()) * 1000)::bigint + :held_ms)
ON CONFLICT (system_schema, application, duty) DO UPDATE
   SET holder = excluded.holder, until_ms = excluded.until_ms
 WHERE duty.holder = excluded.holder OR duty.until_ms <= (EXTRACT(epoch FROM now()) * 1000)::bigint
RETURNING holder

-- drop_duties
DELETE FROM dbos_runtime.duties
 WHERE system_schema = :system_schema AND application = :application AND holder = :holder
RETURNING duty
