for value in client.read_stream(workflow_id, key):
    process(value)
