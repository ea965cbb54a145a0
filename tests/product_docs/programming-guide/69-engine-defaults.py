{
    "pool_size": 20,
    "max_overflow": 0,
    "pool_timeout": 30,
}
