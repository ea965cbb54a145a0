"""What is durable: the system database."""
