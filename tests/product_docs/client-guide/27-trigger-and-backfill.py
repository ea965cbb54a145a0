# Manually trigger a scheduled workflow
handle = client.trigger_schedule("daily-backup")
result = handle.get_result()
# Backfill schedule
from datetime import datetime, timedelta
start = datetime.now() - timedelta(days=7)
end = datetime.now()
handles = client.backfill_schedule(
    schedule_name="daily-backup",
    start=start,
    end=end
)
print(f"Enqueued {len(handles)} backfill executions")
