from dbos import EnqueueOptions
# Enqueue a workflow
handle = client.enqueue(
    EnqueueOptions(
        workflow_name="process_order",
        queue_name="orders",
        workflow_id="order-12345", # Optional
        priority=100, # Optional
        max_recovery_attempts=5 # Optional
    ),
    "order-12345", # Workflow args
    "customer-789",
    {"items": [{"id": 1, "qty": 2}]}
)
# Wait for result
result = handle.get_result()
