-- notify
SELECT pg_notify(:channel, payload) FROM unnest(CAST(:payloads AS text[])) AS payload
