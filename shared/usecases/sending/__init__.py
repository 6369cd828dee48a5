"""From a row to its submission at Microsoft."""
