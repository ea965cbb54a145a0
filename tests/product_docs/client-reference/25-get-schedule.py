schedule = client.get_schedule(name)
