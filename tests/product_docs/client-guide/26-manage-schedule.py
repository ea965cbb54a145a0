# Get specific schedule
schedule = client.get_schedule("daily-backup")
if schedule:
    print(f"Cron: {schedule['schedule']}")
    print(f"Context: {schedule['context']}")
# Pause schedule
client.pause_schedule("daily-backup")
# Resume schedule
client.resume_schedule("daily-backup")
# Delete schedule
client.delete_schedule("daily-backup")
