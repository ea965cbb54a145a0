"""What people see of the operator: metrics, probes, logs."""
