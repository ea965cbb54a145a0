from dbos import DBOSClient
# Connect using database URL
client = DBOSClient(
    system_database_url="postgresql://user:password@localhost:5432/dbos"
)
# Or use separate system and application databases
client = DBOSClient(
    system_database_url="postgresql://user:password@localhost:5432/dbos_system",
    application_database_url="postgresql://user:password@localhost:5432/app_db"
)
# Don't forget to cleanup when done
try:
    # Use client...
    pass
finally:
    client.destroy()
