# Read stream as generator
for value in client.read_stream("workflow-123", "progress"):
    print(f"Progress update: {value}")
# Async version
async for value in client.read_stream_async("workflow-123", "results"):
    print(f"Result: {value}")
