"""The ports, implemented: Azure Storage, Microsoft Graph, the clock. Nothing is decided here."""
