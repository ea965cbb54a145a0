schedules = client.list_schedules()
for schedule in schedules:
    print(f"Schedule: {schedule['schedule_name']}")
    print(f"  Workflow: {schedule['workflow_name']}")
    print(f"  Cron: {schedule['schedule']}")
    print(f"  Status: {schedule['status']}")
