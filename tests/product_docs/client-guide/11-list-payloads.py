# Load without input/output for faster queries
lightweight = client.list_workflows(
    load_input=False,
    load_output=False,
    limit=1000
)
# Only load outputs
results_only = client.list_workflows(
    load_input=False,
    load_output=True
)
