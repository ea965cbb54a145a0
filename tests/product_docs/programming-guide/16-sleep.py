@DBOS.workflow()
def schedule_task(time_to_sleep, task):
    # Durably sleep for some time before running the task
    DBOS.sleep(time_to_sleep)
    run_task(task)
