completed = client.wait_first(handles, polling_interval_sec=1.0)
