@DBOS.workflow()
def example_workflow():
    DBOS.logger.info(f"I am a workflow with ID {DBOS.workflow_id}")
with SetWorkflowID("very-unique-id"):
    example_workflow()
