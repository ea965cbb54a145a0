# Combine multiple filters
filtered = client.list_workflows(
    status=["ERROR", "CANCELLED"],
    name="process_payment",
    start_time=(datetime.now() - timedelta(hours=1)).isoformat(),
    user="[email protected]",
    limit=100
)
# Pagination
page1 = client.list_workflows(limit=50, offset=0)
page2 = client.list_workflows(limit=50, offset=50)
# Sort descending (newest first)
newest = client.list_workflows(sort_desc=True, limit=10)
