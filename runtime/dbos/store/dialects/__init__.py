"""What differs between databases: drivers, connections, classes of errors."""
