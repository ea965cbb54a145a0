from dbos import EnqueueOptions

options: EnqueueOptions = {
    "workflow_name": "send_email",
    "queue_name": "emails",
    "workflow_id": "email-unique-123",
    "priority": 10,
    "authenticated_user": "[email protected]",
}

handle = client.enqueue(
    options,
    to="[email protected]",
    subject="Welcome",
    body="Thanks for signing up!"
)
