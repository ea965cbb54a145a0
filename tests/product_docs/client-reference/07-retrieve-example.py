# Retrieve a previously enqueued workflow
handle = client.retrieve_workflow("my-workflow-id")
status = handle.get_status()
print(f"Workflow status: {status.status}")

if status.status == "SUCCESS":
    result = handle.get_result()
    print(f"Result: {result}")
