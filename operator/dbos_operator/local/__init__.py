"""What stands in for a cluster: a folder of YAML and local processes."""
