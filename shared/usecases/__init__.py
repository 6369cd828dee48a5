"""What the functions do, one module each, over ports and stores; none knows Azure, HTTP or the environment."""
