workflows = client.list_workflows(
    workflow_ids=None,
    status=None,
    start_time=None,
    end_time=None,
    name=None,
    app_version=None,
    queue_name=None,
    limit=None,
    offset=None,
    sort_desc=False
)
