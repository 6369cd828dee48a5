"""Answering: reporters hear what came of their reports. Imported only where that is switched on."""
