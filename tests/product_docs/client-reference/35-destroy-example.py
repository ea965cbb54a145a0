client = DBOSClient(application_database_url=url)
try:
    # Use the client
    handle = client.enqueue(options, ...)
    result = handle.get_result()
finally:
    client.destroy()
