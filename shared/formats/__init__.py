"""What other programs make of a mail, turned back into one: pure, total, bounded in time and memory."""
