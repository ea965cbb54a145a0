for value in DBOS.read_stream(workflow_id, example_key):
    print(f"Received: {value}")
