handle = client.trigger_schedule(schedule_name)
