# Send a message
client.send(
    destination_id="workflow-123",
    message={"command": "process", "data": [1, 2, 3]}
)
# Send with topic
client.send(
    destination_id="workflow-123",
    message="approved",
    topic="approval"
)
# Send with idempotency key (prevents duplicates)
client.send(
    destination_id="workflow-123",
    message="important data",
    topic="data",
    idempotency_key="msg-unique-id-123"
)
# Async version
await client.send_async(
    destination_id="workflow-123",
    message={"status": "ready"},
    topic="status"
)
