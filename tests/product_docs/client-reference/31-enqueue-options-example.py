options: EnqueueOptions = {
    "workflow_name": "process_payment",
    "queue_name": "payments",
    "workflow_id": "payment-unique-123",
    "app_version": "v1.2.3",
    "workflow_timeout": 300.0,  # 5 minutes
    "deduplication_id": "payment-dedup-123",
    "priority": 10,
    "max_recovery_attempts": 5,
    "queue_partition_key": "customer-456",
    "authenticated_user": "[email protected]",
    "authenticated_roles": ["admin", "finance"],
}

handle = client.enqueue(options, payment_amount=99.99)
