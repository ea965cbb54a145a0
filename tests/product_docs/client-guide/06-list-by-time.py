from datetime import datetime, timedelta
# Last 24 hours
start_time = (datetime.now() - timedelta(days=1)).isoformat()
recent = client.list_workflows(start_time=start_time)
# Specific time range
start = "2024-01-01T00:00:00"
end = "2024-01-31T23:59:59"
january = client.list_workflows(
    start_time=start,
    end_time=end
)
