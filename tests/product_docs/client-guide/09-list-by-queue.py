# Workflows in specific queue
queued = client.list_workflows(queue_name="high-priority")
# Only queued workflows (ENQUEUED status)
all_queued = client.list_queued_workflows()
# Queued workflows in specific queue
specific_queue = client.list_queued_workflows(queue_name="email-queue")
