# Fork from step 5 (useful for debugging or replay)
forked_handle = client.fork_workflow(
    workflow_id="original-wf-123",
    start_step=5
)
# Fork to a specific application version
forked_handle = client.fork_workflow(
    workflow_id="original-wf-123",
    start_step=3,
    application_version="v1.2.4"
)
# Get the new forked workflow ID
forked_id = forked_handle.get_workflow_id()
# Wait for forked workflow to complete
result = forked_handle.get_result()
# Check relationship
status = forked_handle.get_status()
print(f"Forked from: {status.forked_from}") # "original-wf-123"
