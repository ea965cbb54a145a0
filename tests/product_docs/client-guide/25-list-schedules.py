# List all schedules
schedules = client.list_schedules()
# Filter by status
active = client.list_schedules(status="ACTIVE")
paused = client.list_schedules(status="PAUSED")
# Filter by workflow name
backups = client.list_schedules(workflow_name="backup_database")
# Filter by name prefix
reports = client.list_schedules(schedule_name_prefix="report-")
