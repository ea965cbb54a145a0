class StepStatus:
    # The unique ID of this step in its workflow.
    step_id: int
    # For steps with automatic retries, which attempt number (zero-indexed) is currently executing.
    current_attempt: Optional[int]
    # For steps with automatic retries, the maximum number of attempts that will be made before the step fails.
    max_attempts: Optional[int]
