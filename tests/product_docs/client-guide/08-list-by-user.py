# Workflows for specific user
user_workflows = client.list_workflows(user="[email protected]")
# Multiple users
team_workflows = client.list_workflows(
    user=["[email protected]", "[email protected]"]
)
