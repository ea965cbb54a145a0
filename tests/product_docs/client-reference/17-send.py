client.send(destination_id, message, topic=None, idempotency_key=None)
