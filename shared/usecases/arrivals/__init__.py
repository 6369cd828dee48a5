"""From a report, a request or a source to a row."""
