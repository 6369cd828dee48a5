"""From a submission to what became of it."""
