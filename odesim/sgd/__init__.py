"""Full-network SGD, the judge."""
