handle = client.enqueue(options, *args, **kwargs)
