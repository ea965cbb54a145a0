# List all failed workflows from the last hour
import datetime

end = datetime.datetime.now()
start = end - datetime.timedelta(hours=1)

failed = client.list_workflows(
    status="ERROR",
    start_time=start.isoformat(),
    end_time=end.isoformat(),
    sort_desc=True
)

for wf in failed:
    print(f"Failed workflow: {wf.workflow_id} - {wf.error}")
