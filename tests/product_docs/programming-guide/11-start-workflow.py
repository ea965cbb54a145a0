@DBOS.workflow()
def background_task(input):
    # ...
    return output
# Start the background task
handle: WorkflowHandle = DBOS.start_workflow(background_task, input)
# Wait for the background task to complete and retrieve its result.
output = handle.get_result()
