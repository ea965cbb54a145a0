handles = client.backfill_schedule(schedule_name, start, end)
