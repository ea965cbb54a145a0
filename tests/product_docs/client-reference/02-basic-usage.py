from dbos import DBOSClient, EnqueueOptions

# Create a client
client = DBOSClient(
    application_database_url="postgresql://user:pass@localhost/myapp"
)

# Enqueue a workflow
options: EnqueueOptions = {
    "workflow_name": "process_order",
    "queue_name": "orders",
}

handle = client.enqueue(options, "order-123", customer_id="456")

# Wait for result
result = handle.get_result()
print(f"Result: {result}")

# Check status
status = handle.get_status()
print(f"Status: {status.status}")

# Clean up
client.destroy()
