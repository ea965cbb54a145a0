queue = Queue("example_queue", limiter={"limit": 50, "period": 30})
