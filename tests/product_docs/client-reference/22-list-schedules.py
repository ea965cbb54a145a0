schedules = client.list_schedules(
    status=None,
    workflow_name=None,
    schedule_name_prefix=None
)
