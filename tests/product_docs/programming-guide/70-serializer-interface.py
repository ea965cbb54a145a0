class Serializer(ABC):
    @abstractmethod
    def serialize(self, data: Any) -> str:
        pass
    @abstractmethod
    def deserialize(cls, serialized_data: str) -> Any:
        pass
