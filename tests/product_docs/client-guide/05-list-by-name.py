# Single workflow name
orders = client.list_workflows(name="process_order")
# Multiple workflow names
specific = client.list_workflows(
    name=["process_order", "send_notification"]
)
