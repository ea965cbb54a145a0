value = client.get_event(workflow_id, key, timeout_seconds=60)
