queued = client.list_queued_workflows(
    queue_name=None,
    status=None,
    limit=None
)
