-- Wakes whoever waits for a message. Left out of databases that are created with use_listen_notify=False.

CREATE OR REPLACE FUNCTION {schema}.notifications_function() RETURNS TRIGGER
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS {body}
BEGIN
    PERFORM pg_notify('dbos_notifications_channel', NEW.destination_uuid || '::' || NEW.topic);
    RETURN NEW;
END;
{body};

CREATE TRIGGER dbos_notifications_trigger
    AFTER INSERT ON {schema}.notifications
    FOR EACH ROW EXECUTE FUNCTION {schema}.notifications_function();
