client.pause_schedule(name)
client.resume_schedule(name)
