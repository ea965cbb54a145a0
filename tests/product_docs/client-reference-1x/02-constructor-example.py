client = DBOSClient(os.environ["DBOS_DATABASE_URL"])
