client.create_schedule(
    schedule_name="hourly_job",
    workflow_name="cleanup_workflow",
    schedule="0 0 * * * *",
    context=None
)
