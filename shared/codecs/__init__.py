"""How things look outside: one module for each format, holding every rule of that format."""
