client.delete_schedule(name)
