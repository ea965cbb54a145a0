-- notify
SELECT pg_notify(channel, payload)
  FROM unnest(CAST(:channels AS text[]), CAST(:payloads AS text[])) AS news(channel, payload)
