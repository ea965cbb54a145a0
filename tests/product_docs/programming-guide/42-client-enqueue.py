from dbos import DBOSClient, EnqueueOptions
client = DBOSClient(system_database_url=os.environ["DBOS_SYSTEM_DATABASE_URL"])
options: EnqueueOptions = {
    "queue_name": "pipeline_queue",
    "workflow_name": "data_pipeline",
}
handle = client.enqueue(options, task)
result = handle.get_result()
