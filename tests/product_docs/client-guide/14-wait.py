handle = client.retrieve_workflow("workflow-123")
# Wait with custom polling interval (default 1 second)
result = handle.get_result(polling_interval_sec=0.5)
