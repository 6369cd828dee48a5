"""What the product keeps between runs: rows, queues of work and checkpoints, over the `Table` port."""
