client.create_schedule(
    schedule_name="daily-backup",
    workflow_name="backup_database",
    schedule="0 0 2 * * *", # 2 AM daily
    context={"retention_days": 30}
)
