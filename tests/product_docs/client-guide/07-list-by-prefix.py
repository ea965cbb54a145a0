# All workflows starting with "order-"
orders = client.list_workflows(workflow_id_prefix="order-")
# Multiple prefixes
specific = client.list_workflows(
    workflow_id_prefix=["order-", "payment-"]
)
