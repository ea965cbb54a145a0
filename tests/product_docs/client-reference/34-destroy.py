client.destroy()
