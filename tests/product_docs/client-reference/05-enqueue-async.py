handle = await client.enqueue_async(options, *args, **kwargs)
