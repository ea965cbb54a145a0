-- Functions that a process was handed and does not have, so that everybody sees why their workflows wait. Until
-- a time by the database's clock: the process tries again by then, or is gone.
CREATE TABLE {runtime}refusals (
    system_schema text NOT NULL,
    application text NOT NULL,
    function_key text NOT NULL,
    process text NOT NULL,
    until_ms bigint NOT NULL,
    PRIMARY KEY (system_schema, application, function_key, process)
){rewritten};
