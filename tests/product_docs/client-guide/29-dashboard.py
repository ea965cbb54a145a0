from dbos import DBOSClient
from datetime import datetime, timedelta
import time
class WorkflowDashboard:
    def __init__(self, system_database_url: str):
        self.client = DBOSClient(system_database_url=system_database_url)
    def get_stats(self) -> dict:
        """Get overall workflow statistics."""
        # Get workflows from last hour
        start_time = (datetime.now() - timedelta(hours=1)).isoformat()
        recent = self.client.list_workflows(start_time=start_time)
        # Count by status
        stats = {
            "total": len(recent),
            "success": 0,
            "error": 0,
            "pending": 0,
            "cancelled": 0,
            "enqueued": 0
        }
        for wf in recent:
            status = wf.status.lower()
            if status in stats:
                stats[status] += 1
        return stats
    def get_slow_workflows(self, threshold_seconds: int = 60) -> list:
        """Find workflows exceeding time threshold."""
        slow = []
        recent = self.client.list_workflows(
            start_time=(datetime.now() - timedelta(hours=24)).isoformat(),
            status="SUCCESS"
        )
        for wf in recent:
            if wf.created_at and wf.updated_at:
                duration = (wf.updated_at - wf.created_at).total_seconds()
                if duration > threshold_seconds:
                    slow.append({
                        "workflow_id": wf.workflow_id,
                        "name": wf.name,
                        "duration": duration
                    })
        return sorted(slow, key=lambda x: x["duration"], reverse=True)
    def get_failed_workflows(self, limit: int = 10) -> list:
        """Get recent failed workflows."""
        failed = self.client.list_workflows(
            status="ERROR",
            sort_desc=True,
            limit=limit
        )
        return [{
            "workflow_id": wf.workflow_id,
            "name": wf.name,
            "error": wf.error,
            "created_at": wf.created_at
        } for wf in failed]
    def retry_failed_workflow(self, workflow_id: str) -> str:
        """Retry a failed workflow by forking from step 1."""
        handle = self.client.fork_workflow(
            workflow_id=workflow_id,
            start_step=1
        )
        return handle.get_workflow_id()
    def get_queue_stats(self) -> dict:
        """Get statistics for queued workflows."""
        queued = self.client.list_queued_workflows()
        stats = {}
        for wf in queued:
            queue = wf.queue_name or "default"
            if queue not in stats:
                stats[queue] = {"total": 0, "by_status": {}}
            stats[queue]["total"] += 1
            status = wf.status
            stats[queue]["by_status"][status] = stats[queue]["by_status"].get(status, 0) + 1
        return stats
    def monitor_workflow(self, workflow_id: str, poll_interval: float = 1.0):
        """Monitor a workflow until completion."""
        handle = self.client.retrieve_workflow(workflow_id)
        print(f"Monitoring workflow {workflow_id}...")
        while True:
            status = handle.get_status()
            print(f"Status: {status.status}")
            if status.status in ["SUCCESS", "ERROR", "CANCELLED"]:
                if status.status == "SUCCESS":
                    print(f"Result: {status.output}")
                elif status.status == "ERROR":
                    print(f"Error: {status.error}")
                break
            time.sleep(poll_interval)
    def cleanup(self):
        """Cleanup client resources."""
        self.client.destroy()
# Usage
dashboard = WorkflowDashboard(
    system_database_url="postgresql://user:pass@localhost/dbos"
)
try:
    # Get stats
    stats = dashboard.get_stats()
    print(f"Workflow Stats (last hour): {stats}")
    # Find slow workflows
    slow = dashboard.get_slow_workflows(threshold_seconds=120)
    print(f"\nSlow workflows (>2 minutes): {len(slow)}")
    for wf in slow[:5]:
        print(f" {wf['name']}: {wf['duration']:.1f}s")
    # Get failed workflows
    failed = dashboard.get_failed_workflows(limit=5)
    print(f"\nRecent failures: {len(failed)}")
    for wf in failed:
        print(f" {wf['workflow_id']}: {wf['error']}")
    # Queue stats
    queue_stats = dashboard.get_queue_stats()
    print(f"\nQueue Statistics:")
    for queue, stats in queue_stats.items():
        print(f" {queue}: {stats['total']} workflows")
    # Monitor specific workflow
    # dashboard.monitor_workflow("workflow-123")
finally:
    dashboard.cleanup()
