from dbos import DBOS, DBOSConfig, Serializer
class JsonSerializer(Serializer):
    def serialize(self, data: Any) -> str:
        return json.dumps(data)
    def deserialize(cls, serialized_data: str) -> Any:
        return json.loads(serialized_data)
serializer = JsonSerializer()
config: DBOSConfig = {
    "name": "dbos-starter",
    "system_database_url": os.environ.get("DBOS_SYSTEM_DATABASE_URL"),
    "serializer": serializer
}
DBOS(config=config)
DBOS.launch()
